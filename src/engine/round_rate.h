// How fast rounds are: the exchange rate between tokens and seconds.
#ifndef GUMBELSPEC_ENGINE_ROUND_RATE_H_
#define GUMBELSPEC_ENGINE_ROUND_RATE_H_

#include <algorithm>
#include <cstddef>

#include "gumbelspec/costs.h"
#include "src/engine/own_time.h"

namespace gumbelspec {

// Tokens per second of all texts together, over the last rounds. When texts come and go it moves at
// once by what that changes in plain decoding.
class RoundRate {
 public:
  explicit RoundRate(const CostModel& costs);
  // The next round is of so many texts.
  void begin_round(std::size_t n_texts);
  // It brought so many tokens and took so long.
  void end_round(std::size_t n_tokens, double seconds);
  // Of that so much besides the passes, with so many drafted nodes verified.
  void observe_own(std::size_t n_nodes, double seconds) {
    own_.observe(std::max<std::size_t>(n_texts_, 1), n_nodes, seconds);
  }
  // Never less than plain decoding would bring, which is always possible: otherwise a draft that
  // loses would make its own losses look cheap.
  [[nodiscard]] double rate() const;
  [[nodiscard]] double own_node_s() const { return own_.per_node(); }
  [[nodiscard]] std::size_t n_texts() const { return n_texts_; }
  // Expected of a round of these texts without a draft, seconds.
  [[nodiscard]] double plain_round_s() const { return plain_s(n_texts_) + own_round_s(); }
  // Besides its passes, with so many drafted nodes verified.
  [[nodiscard]] double own_round_s(std::size_t n_nodes = 0) const {
    return static_cast<double>(n_texts_) * own_.per_text() +
           static_cast<double>(n_nodes) * own_.per_node();
  }

 private:
  [[nodiscard]] double plain_s(std::size_t n) const;

  const CostModel& costs_;
  std::size_t n_texts_ = 0;
  double tokens_ = 0.0;
  double seconds_ = 0.0;
  OwnTime own_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_ROUND_RATE_H_
