// One execution of the request fuzzer.
#ifndef GUMBELSPEC_FUZZ_REQUEST_TARGET_H_
#define GUMBELSPEC_FUZZ_REQUEST_TARGET_H_

#include <string_view>

namespace gumbelspec::fuzz {

// What became of the bytes.
enum class Verdict { refused, accepted };

// The first byte picks the endpoint, the rest is the body. What is accepted is answered: its
// sampling options make log-weights of a row, its stop strings cut a text up, its JSON is written.
// Throws: std::logic_error where something that is promised does not hold; anything but ApiError
// that the server throws itself.
Verdict run_request(std::string_view bytes);

}  // namespace gumbelspec::fuzz

#endif  // GUMBELSPEC_FUZZ_REQUEST_TARGET_H_
