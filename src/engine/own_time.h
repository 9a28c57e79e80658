// What a round takes besides its passes: choosing tokens, noise, trees, the caller's callbacks.
#ifndef GUMBELSPEC_ENGINE_OWN_TIME_H_
#define GUMBELSPEC_ENGINE_OWN_TIME_H_

#include <algorithm>
#include <cstddef>

namespace gumbelspec {

// Seconds per text, learnt from rounds that verify no drafted node, and on top of that per such
// node. On small models the second is a tenth of a round, and a price that leaves it out drafts at
// a loss. Fading means over the last `window` rounds of each kind; they may take in negative
// values, so that errors of the estimated passes cancel out instead of adding up.
class OwnTime {
 public:
  explicit OwnTime(double window) : window_(window) {}

  // A round of n_texts >= 1 with n_nodes drafted nodes verified in all took so much besides.
  void observe(std::size_t n_texts, std::size_t n_nodes, double seconds) {
    const auto texts = static_cast<double>(n_texts);
    if (n_nodes == 0) {
      text_.push(seconds / texts, window_);
    } else {
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

  double window_;
  Mean text_;
  Mean node_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_OWN_TIME_H_
