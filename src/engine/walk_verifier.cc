#include <vector>

#include "gumbelspec/verifier.h"

namespace gumbelspec {
namespace {

// Of any tree of the methods; a deeper one costs an allocation.
constexpr std::size_t kMostLevels = 64;

class WalkVerifier final : public Verifier {
 public:
  WalkVerifier() { path_.reserve(kMostLevels); }
  void verify(const Round& round, WalkResult& result) override {
    walk(
        round.tree, [&](NodeId node) { return choose_at(round, node); }, result);
  }

 private:
  Choice choose_at(const Round& round, NodeId node) {
    path_.resize(static_cast<std::size_t>(round.tree.depth(node)));
    round.tree.path_tokens(node, path_);
    return score(round.weights, round.noise, round.row(node), TextView{round.text, path_},
                 round.allowed(path_))
        .choose();
  }

  std::vector<TokenId> path_;
};

}  // namespace

std::unique_ptr<Verifier> make_walk_verifier() { return std::make_unique<WalkVerifier>(); }

}  // namespace gumbelspec
