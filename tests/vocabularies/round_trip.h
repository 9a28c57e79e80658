// Text to tokens and back with one vocabulary, compared with what is not ours: llama.cpp's own
// functions, the token tests of the model's makers, and a decoder of a few lines over the texts of
// the tokens in the file.
#ifndef GUMBELSPEC_TESTS_VOCABULARIES_ROUND_TRIP_H_
#define GUMBELSPEC_TESTS_VOCABULARIES_ROUND_TRIP_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tests/vocabularies/vocabulary_files.h"

namespace gumbelspec::testing {

// How many texts come back, and what is different about those that do not.
struct RoundTrip {
  std::string type;
  std::size_t n_tokens = 0;
  std::size_t n_silent = 0;  // tokens that write nothing: control tokens and unused ones
  std::size_t n_strings = 0;
  std::size_t n_same = 0;      // byte for byte
  std::size_t n_prefixed = 0;  // with one space more in front
  std::size_t n_spaced = 0;    // with spaces for U+2581, which is how the vocabulary writes them
  std::size_t n_dropped = 0;   // without the bytes that the vocabulary has no token for
  std::size_t n_changed = 0;   // in any other way: normalised, cut
  std::size_t n_cleaned = 0;   // where llama_detokenize() removes spaces before punctuation
  std::size_t n_known = 0;     // the makers' texts
  std::string missing = {};    // the bytes without a token
  std::vector<std::string> wrong = {};  // what does not agree with an oracle
};

[[nodiscard]] RoundTrip round_trip(const VocabularyFile& file,
                                   const std::vector<std::string>& texts);

// Tokens whose text differs from that which the file's text for them stands for.
[[nodiscard]] std::vector<std::string> wrong_pieces(const VocabularyFile& file);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_VOCABULARIES_ROUND_TRIP_H_
