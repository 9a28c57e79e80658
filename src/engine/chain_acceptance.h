// How much of a chain of so many nodes block verification keeps.
#ifndef GUMBELSPEC_ENGINE_CHAIN_ACCEPTANCE_H_
#define GUMBELSPEC_ENGINE_CHAIN_ACCEPTANCE_H_

#include <array>
#include <cstddef>
#include <span>

namespace gumbelspec {

// What the i-th node of a chain adds to the tokens that are expected of it. Learnt from each chain
// for all shorter ones at once: the chances that decide about a prefix do not depend on how long
// the chain is, but for those of its last node, so what each length would have brought, on average
// over the coins, is known. Longer ones go on as the end of what was seen does.
class ChainAcceptance {
 public:
  static constexpr std::size_t kMost = 64;

  // first: what is thought of the first node before any was seen; of the others as much of the one
  // before.
  explicit ChainAcceptance(double first = 0.75) : prior_(first) {}

  // A chain of expected.size() nodes: [i] accepted tokens expected of its first i + 1. For a single
  // chain they may fall; on average they do not.
  void observe(std::span<const double> expected);
  // Of the i-th node, i >= 1; before: of the one before, if i > 1. At least 0.
  [[nodiscard]] double gain(std::size_t i, double before) const;

 private:
  struct Mean {
    double sum = 0.0;
    double weight = 0.0;
  };
  double prior_;
  std::array<Mean, kMost> gains_{};
  // Of the gains of second and later nodes, and of those before them.
  double later_ = 0.0;
  double earlier_ = 0.0;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_CHAIN_ACCEPTANCE_H_
