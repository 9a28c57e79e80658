// What the loader makes of a file's header.
#ifndef GUMBELSPEC_FUZZ_GGUF_TARGET_H_
#define GUMBELSPEC_FUZZ_GGUF_TARGET_H_

#include <string_view>

namespace gumbelspec::fuzz {

// Loads a file of these bytes with kDataBytes zeros behind them: the first one even, the whole
// model; odd, its vocabulary. Returns: whether it was loaded.
// Throws: std::logic_error where it is refused otherwise than in one line.
bool load_header(std::string_view bytes);

inline constexpr std::size_t kDataBytes = std::size_t{256} << 10U;

}  // namespace gumbelspec::fuzz

#endif  // GUMBELSPEC_FUZZ_GGUF_TARGET_H_
