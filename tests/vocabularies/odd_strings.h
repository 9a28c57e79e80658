// Texts that tokenizers, streams and stop strings stumble over.
#ifndef GUMBELSPEC_TESTS_VOCABULARIES_ODD_STRINGS_H_
#define GUMBELSPEC_TESTS_VOCABULARIES_ODD_STRINGS_H_

#include <cstddef>
#include <string>
#include <vector>

namespace gumbelspec::testing {

// n well-formed texts, the same ones each time: mixed and right-to-left scripts, joined emoji,
// combining marks with and without a base, zero-width and control characters (U+0000 too), long
// white space, line ends of all systems, digits, code, private use, characters of the edges of
// UTF-8's ranges, and texts of what looks like control tokens, words of the tokenizers' own.
[[nodiscard]] std::vector<std::string> odd_strings(std::size_t n);

// Texts that are not UTF-8, with the offset of the first wrong byte.
struct IllFormed {
  std::string text;
  std::size_t offset;
};
[[nodiscard]] std::vector<IllFormed> ill_formed_strings();

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_VOCABULARIES_ODD_STRINGS_H_
