// How fast a batch is: the exchange rate between tokens and seconds.
#ifndef GUMBELSPEC_ENGINE_BATCH_RATE_H_
#define GUMBELSPEC_ENGINE_BATCH_RATE_H_

#include <cstddef>

#include "gumbelspec/costs.h"
#include "src/engine/own_time.h"

namespace gumbelspec {

// Tokens per second of all texts together, over the last rounds. When texts come and go it moves at
// once by what that changes in plain decoding.
class BatchRate {
 public:
  explicit BatchRate(const CostModel& costs);
  // The next round is of so many texts.
  void begin_round(std::size_t n_texts);
  // It brought so many tokens, verified n_nodes drafted nodes and took so long, pass_s of it for
  // what the costs of passes count: these and the reading of their rows by the drafters. is_plain:
  // the draft did nothing.
  void end_round(std::size_t n_tokens, std::size_t n_nodes, double seconds, double pass_s,
                 bool is_plain);
  // Never less than plain decoding would bring, which is always possible.
  [[nodiscard]] double rate() const;
  [[nodiscard]] double own_node_s() const { return own_.per_node(); }
  [[nodiscard]] std::size_t n_texts() const { return n_texts_; }
  // Expected of a round of these texts without a draft, seconds.
  [[nodiscard]] double plain_round_s() const {
    return plain_s(n_texts_) + static_cast<double>(n_texts_) * own_.per_text();
  }
  // Besides its passes.
  [[nodiscard]] double own_round_s() const {
    return static_cast<double>(n_texts_) * own_.per_text();
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

#endif  // GUMBELSPEC_ENGINE_BATCH_RATE_H_
