// What the target itself said last after the same tokens.
#ifndef GUMBELSPEC_ENGINE_RECYCLED_SOURCE_H_
#define GUMBELSPEC_ENGINE_RECYCLED_SOURCE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gumbelspec/sampling.h"
#include "gumbelspec/types.h"
#include "src/engine/suffix_source.h"

namespace gumbelspec {

// The best of the target's latest row after each pair of tokens, and after each token: a
// distribution, so that noise can be added to it. Rows of a table that two pairs share are the
// later one's.
//
// Source: token recycling (2408.08696), which keeps tokens only. Memory: 0.4 MiB. Cost: a row that
// is kept is read twice.
class RecycledSource {
 public:
  static constexpr std::size_t kMost = 8;  // tokens kept of a row

  explicit RecycledSource(const SamplingOptions& sampling);
  void begin_text() { ++text_; }
  // The target's logits after these two tokens. Shape: [n_vocab].
  void keep(TokenId before, TokenId last, std::span<const float> logits);
  // What may follow, likeliest first. Returns: how many. Shape: out [kMost].
  std::size_t look(const TextView& text, std::span<Guess> out) const;
  void learn(const Guess& guess, bool is_hit);

 private:
  static constexpr TokenId kAny{-1};
  struct Row {
    std::uint32_t text = 0;  // rows of earlier texts are as good as none
    TokenId before{-1};
    TokenId last{-1};
    std::array<TokenId, kMost> tokens{};
    std::array<float, kMost> chances{};  // 0: no further one
  };
  [[nodiscard]] static std::size_t place_of(TokenId before, TokenId last);
  [[nodiscard]] const Row* find(TokenId before, TokenId last) const;

  double sharpness_;  // 1 / temperature
  std::uint32_t text_ = 1;
  std::vector<Row> rows_;
  std::vector<Candidate> best_;
  // By what the row said, of pairs and of single tokens.
  static constexpr std::size_t kBins = 10;
  HitRates<2 * kBins> rates_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_RECYCLED_SOURCE_H_
