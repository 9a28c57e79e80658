// The rows of a model as this project runs it, beside those of plain llama.cpp.
#ifndef GUMBELSPEC_TESTING_ZOO_COMPARISON_H_
#define GUMBELSPEC_TESTING_ZOO_COMPARISON_H_

#include <cstddef>
#include <string>
#include <vector>

#include "gumbelspec/language_model.h"
#include "testing/zoo/plain_llama.h"

namespace gumbelspec::zoo {

// A text and llama.cpp's rows of its tokens [first, n), computed in several ways.
struct PlainText {
  std::vector<int> tokens;
  std::size_t first = 0;
  // One token after the other, with the types of cache that this project asks for: what everything
  // is compared with.
  Rows rows;
  std::vector<Rows> others;  // the same in other batches, and of a model a millionth different
  Rows usual;                // with llama.cpp's own types and attention
};

// `n_prompt` random tokens, then the likeliest ones; rows from `first` on.
// Requires: as PlainLlama. Throws: std::runtime_error.
struct TextShape {
  std::size_t n_prompt = 0;
  std::size_t n_generated = 0;
  std::size_t first = 0;
  unsigned seed = 1;
};
[[nodiscard]] PlainText make_plain_text(const PlainLlama& llama, const PlainLlama& nudged,
                                        const TextShape& shape);

// How far rows are from those of plain llama.cpp.
struct Difference {
  std::size_t n_rows = 0;
  float largest = 0.0F;            // difference of two logits
  float median = 0.0F;             // of the rows' largest differences
  std::size_t n_other_choice = 0;  // rows with another likeliest token
  // The largest difference of llama.cpp's two best logits where the choice differs.
  float largest_margin = 0.0F;
};
[[nodiscard]] Difference difference(const Rows& expected, const Rows& rows);

// llama.cpp against itself: what rounding does to this model.
[[nodiscard]] Difference rounding_of(const PlainText& text);

// Rows of text.tokens from text.first on: the tokens before as a prompt, then one per pass.
[[nodiscard]] Rows rows_one_by_one(LanguageModel& model, const PlainText& text);

// The same from passes over trees: three tokens of the text, and beside each another token.
// Requires: limits().can_branch.
[[nodiscard]] Rows rows_of_trees(LanguageModel& model, const PlainText& text);

// The same from passes over chains: three tokens of the text and two others behind them, which are
// dropped again. Requires: limits().longest_chain() >= 4.
[[nodiscard]] Rows rows_of_chains(LanguageModel& model, const PlainText& text);

}  // namespace gumbelspec::zoo

#endif  // GUMBELSPEC_TESTING_ZOO_COMPARISON_H_
