// What drafters with a model share: levels of proposals that the draft model evaluates.
#ifndef GUMBELSPEC_ENGINE_DRAFT_LEVELS_H_
#define GUMBELSPEC_ENGINE_DRAFT_LEVELS_H_

#include <cstddef>
#include <span>
#include <vector>

#include "gumbelspec/drafter.h"

namespace gumbelspec {

// A round is begin(), then append(), the pass, take() for each level; the first level is the root.
// Does not allocate after levels of the size that is usual.
class DraftLevels {
 public:
  DraftLevels();
  // length: levels wanted.
  void begin(const DraftRound& round, std::size_t length);
  // That can be drafted: 0 without a draft model, behind its context, or behind a token that it
  // does not know.
  [[nodiscard]] std::size_t n_levels() const { return n_levels_; }
  [[nodiscard]] std::size_t n_taken() const { return n_taken_; }
  [[nodiscard]] bool is_done() const { return n_taken_ >= n_levels_; }

  // Appends these proposals, whose parents are evaluated; level is cut to the first ones that fit.
  [[nodiscard]] PassOutcome append(const DraftRound& round, std::vector<std::size_t>& level,
                                   const DraftRoom& room, std::vector<PassNode>& pass);
  // Notes that they are evaluated.
  void take(const DraftRound& round, std::span<const std::size_t> level);
  // Logits below the i-th of them. Shape: [draft's n_vocab]. Lifetime: until the next pass.
  [[nodiscard]] std::span<const float> row(const DraftRound& round, std::size_t i) const {
    return round.reader->row(first_row_ + i);
  }

 private:
  std::size_t n_levels_ = 0;
  std::size_t n_taken_ = 0;
  std::size_t first_row_ = 0;
  std::vector<TokenId> tokens_;
  std::vector<PendingId> parents_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_DRAFT_LEVELS_H_
