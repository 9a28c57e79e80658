// What a round takes besides its passes: choosing tokens, noise, trees, the caller's callbacks.
#ifndef GUMBELSPEC_ENGINE_OWN_TIME_H_
#define GUMBELSPEC_ENGINE_OWN_TIME_H_

#include <algorithm>
#include <cstddef>

namespace gumbelspec {

// Seconds per text, learnt from rounds that verify no drafted node, and on top of that per such
// node. On small models the second is a tenth of a round, and a price that leaves it out drafts at
// a loss. Fading means over the last `window` rounds of each kind; they may take in negative
// values, so that errors of the estimated passes cancel out instead of adding up. The price of a
// node begins at nothing and goes back there while no node is verified: one slow round must not end
// drafting for good.
class OwnTime {
 public:
  explicit OwnTime(double window) : window_(window) {}

  // A round of n_texts >= 1 with n_nodes drafted nodes verified in all took so much besides.
  void observe(std::size_t n_texts, std::size_t n_nodes, double seconds) {
    const auto texts = static_cast<double>(n_texts);
    if (n_nodes == 0) {
      text_.push(seconds / texts, window_);
      if (++n_without_ > kNodeMemory) node_.mean *= 1.0 - 1.0 / static_cast<double>(kNodeMemory);
    } else {
      n_without_ = 0;
      node_.push((seconds - texts * per_text()) / static_cast<double>(n_nodes), window_);
    }
  }

  [[nodiscard]] double per_text() const { return std::max(text_.mean, 0.0); }
  [[nodiscard]] double per_node() const { return std::max(node_.mean, 0.0); }

 private:
  struct Mean {
    double mean = 0.0;
    double n = 0.0;
    void push(double value, double window) {
      n = std::min(n + 1.0, window);
      mean += (value - mean) / n;
    }
  };

  static constexpr double kPriorRounds = 4.0;      // in which a node took nothing
  static constexpr std::size_t kNodeMemory = 128;  // rounds without nodes

  double window_;
  Mean text_;
  Mean node_{.mean = 0.0, .n = kPriorRounds};
  std::size_t n_without_ = 0;  // rounds since the last one with nodes
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_OWN_TIME_H_
