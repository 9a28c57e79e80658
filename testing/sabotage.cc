#include "testing/sabotage.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "testing/reference.h"
#include "testing/reference_rejection.h"

namespace gumbelspec::testing {
namespace {

class ExponentialNoise final : public NoiseSource {
 public:
  void fill(NoiseKey key, Position position, std::span<float> out) const override {
    fill_noise(key, position, out);
    for (float& x : out) x = std::exp(-x);
  }
};

class ReusedNoise final : public NoiseSource {
 public:
  void fill(NoiseKey key, Position position, std::span<float> out) const override {
    fill_noise(key, position_after(index(position) & ~std::size_t{1}), out);
  }
};

std::vector<TokenId> text_at(const Verifier::Round& round, NodeId node) {
  std::vector<TokenId> text(round.text.begin(), round.text.end());
  const auto depth = static_cast<std::size_t>(round.tree.depth(node));
  text.resize(text.size() + depth);
  round.tree.path_tokens(node, std::span(text).last(depth));
  return text;
}

// Noise that nobody else reads.
std::vector<float> private_noise(const Verifier::Round& round, std::uint32_t stream,
                                 std::size_t depth) {
  std::vector<float> noise(round.target.limits().n_vocab);
  fill_noise({round.key.seed, 1000U + stream}, position_after(round.text.size() + depth), noise);
  return noise;
}

class RatioTest final : public Verifier {
 public:
  RatioTest(const TableModel& draft, const SamplingOptions& sampling)
      : draft_(draft), sampling_(sampling) {}

  void verify(const Round& round, WalkResult& result) override {
    result.path.assign(1, kRoot);
    result.choices.clear();
    for (NodeId node = kRoot;;) {
      const NodeId child = first_child(round.tree, node);
      result.choices.push_back(decide(round, node, child));
      if (child == kNoNode || result.choices.back().token != round.tree.token(child)) return;
      result.path.push_back(child);
      node = child;
    }
  }

 private:
  static NodeId first_child(const DraftTree& tree, NodeId node) {
    for (std::size_t i = 1; i < tree.size(); ++i) {
      if (tree.parent(node_id(i)) == node) return node_id(i);
    }
    return kNoNode;
  }

  Choice decide(const Round& round, NodeId node, NodeId child) const {
    const std::vector<TokenId> text = text_at(round, node);
    const auto depth = static_cast<std::size_t>(round.tree.depth(node));
    std::vector<double> p = reference_probabilities(round.row(node), sampling_, text);
    if (child != kNoNode) {
      const std::vector<double> q = reference_probabilities(draft_.logits(text), sampling_, text);
      const std::size_t drafted = index(round.tree.token(child));
      // exp(-exp(-g)) is uniform again.
      const double unit = std::exp(-std::exp(-private_noise(round, 0, depth)[0]));
      if (unit * q[drafted] < p[drafted]) return {token_id(drafted), token_id(drafted), 0.0F, 0.0F};
      for (std::size_t i = 0; i < p.size(); ++i) p[i] = std::max(p[i] - q[i], 0.0);
    }
    std::vector<float> weights(p.size());
    std::transform(p.begin(), p.end(), weights.begin(),
                   [](double x) { return static_cast<float>(std::log(x)); });
    return choose(weights, round.noise.row(position_after(round.text.size() + depth)));
  }

  const TableModel& draft_;
  const SamplingOptions& sampling_;
};

class FreshNoisePerPath final : public Verifier {
 public:
  void verify(const Round& round, WalkResult& result) override {
    WalkResult best;
    std::uint32_t path = 0;
    for (std::size_t i = 0; i < round.tree.size(); ++i) {
      if (!round.tree.is_leaf(node_id(i))) continue;
      const std::uint32_t stream = ++path;
      WalkResult one;
      walk(
          round.tree,
          [&](NodeId node) {
            const std::vector<TokenId> text = text_at(round, node);
            const auto depth = static_cast<std::size_t>(round.tree.depth(node));
            const std::span<const float> log_weights =
                round.weights(round.row(node), TextView{text, {}});
            return choose(log_weights, private_noise(round, stream, depth));
          },
          one);
      if (best.path.empty() || one.path.size() > best.path.size()) best = one;
    }
    result = best;
  }
};

}  // namespace

std::span<const std::string_view> sabotage_names() {
  static constexpr std::array<std::string_view, 10> kNames = {"none",
                                                              "exponential-noise",
                                                              "reused-noise",
                                                              "ratio-test",
                                                              "fresh-noise-per-path",
                                                              "resample-from-p",
                                                              "draft-not-renormalised",
                                                              "draft-noise-reused",
                                                              "uniform-reused",
                                                              "candidates-dropped"};
  return kNames;
}

void put_in(Sabotage sabotage, const TableModel& draft, TextOptions& options, SessionParts& parts) {
  const SamplingOptions& sampling = options.sampling;
  const auto reject = [&](RejectionFault fault) {
    options.verifier = make_reference_rejection(draft, sampling, fault);
  };
  switch (sabotage) {
    case Sabotage::none:
      break;
    case Sabotage::exponential_noise:
      parts.noise = std::make_shared<ExponentialNoise>();
      break;
    case Sabotage::reused_noise:
      parts.noise = std::make_shared<ReusedNoise>();
      break;
    case Sabotage::ratio_test:
      options.verifier = std::make_shared<RatioTest>(draft, sampling);
      break;
    case Sabotage::fresh_noise_per_path:
      options.verifier = std::make_shared<FreshNoisePerPath>();
      break;
    case Sabotage::resample_from_p:
      reject(RejectionFault::resample_from_p);
      break;
    case Sabotage::draft_not_renormalised:
      reject(RejectionFault::draft_not_renormalised);
      break;
    case Sabotage::draft_noise_reused:
      reject(RejectionFault::draft_noise_reused);
      break;
    case Sabotage::uniform_reused:
      reject(RejectionFault::uniform_reused);
      break;
    case Sabotage::candidates_dropped:
      reject(RejectionFault::candidates_dropped);
      break;
  }
}

}  // namespace gumbelspec::testing
