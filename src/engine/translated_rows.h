// Rows of a draft, as rows over the target's tokens.
#ifndef GUMBELSPEC_ENGINE_TRANSLATED_ROWS_H_
#define GUMBELSPEC_ENGINE_TRANSLATED_ROWS_H_

#include <cstddef>
#include <span>
#include <vector>

#include "src/engine/vocabulary_map.h"

namespace gumbelspec {

// What is left of a draft's token that is several of the target's, once the first of them were
// said, and its share in what comes next. Lifetime of the span: of the map.
struct RestOfToken {
  std::span<const TokenId> tokens;
  double share = 0.0;  // (0, 1]
};

// What a row holds of such tokens: `tokens` begins with the target's token whose part they are.
struct LongToken {
  std::span<const TokenId> tokens;
  double log_weight = 0.0;      // as in the row
  double log_weight_own = 0.0;  // the row's, of tokens[0] without any such token
};

class TranslatedRows {
 public:
  // Lifetime: the map outlives it.
  explicit TranslatedRows(VocabularyMap& map) : map_(map) {}

  // rests: what this node's text is a part of. Shape: in [draft's n_vocab], out [target's n_vocab].
  void translate(std::span<const float> in, std::span<const RestOfToken> rests,
                 std::span<float> out, std::vector<LongToken>& longs);
  // Of the node below that says `token`.
  static void rests_below(std::span<const LongToken> longs, TokenId token,
                          std::vector<RestOfToken>& out);

 private:
  static void add(std::span<const TokenId> tokens, double log_weight, std::span<float> out,
                  std::vector<LongToken>& longs);

  void add_others(std::span<const float> in, float most, std::span<float> out,
                  std::vector<LongToken>& longs);

  VocabularyMap& map_;
  std::vector<TokenId> others_;  // scratch
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_TRANSLATED_ROWS_H_
