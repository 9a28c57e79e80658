// What a round costs besides its model passes: a session over models that answer at once.
#include <benchmark/benchmark.h>

#include <stdexcept>
#include <vector>

#include "gumbelspec/session.h"

namespace gumbelspec {
namespace {

// A vocabulary of 131,072 tokens and a few rows of logits that take turns; passes cost nothing.
class InstantModel final : public LanguageModel {
 public:
  static constexpr std::size_t kVocab = 131072;

  // noise_share: how much of a row is this model's own, the rest being common to all.
  InstantModel(std::uint64_t seed, float noise_share) {
    limits_ = {.n_vocab = kVocab, .n_context = 1U << 20U, .max_pass_nodes = 256, .max_leaves = 255};
    std::vector<float> own(kVocab);
    for (std::size_t i = 0; i < kRows; ++i) {
      rows_.emplace_back(kVocab);
      fill_noise({1, 0}, static_cast<Position>(i), rows_[i]);
      fill_noise({seed, 1}, static_cast<Position>(i), own);
      for (std::size_t v = 0; v < kVocab; ++v) {
        rows_[i][v] = 2.0F * rows_[i][v] + noise_share * own[v];
      }
    }
  }

  [[nodiscard]] const ModelLimits& limits() const override { return limits_; }
  [[nodiscard]] bool is_end(TokenId /*token*/) const override { return false; }
  SeqId open() override { return SeqId{0}; }
  void close(SeqId /*seq*/) override {}
  [[nodiscard]] std::size_t n_committed(SeqId /*seq*/) const override { return n_committed_; }
  PassOutcome extend(SeqId /*seq*/, std::span<const TokenId> tokens) override {
    n_committed_ += tokens.size();
    return PassOutcome::ok;
  }
  PassOutcome evaluate(std::span<const PassNode> nodes) override {
    used_.clear();
    for (const PassNode& node : nodes) used_.push_back(index(node.token) % kRows);
    return PassOutcome::ok;
  }
  [[nodiscard]] std::span<const float> row(std::size_t i) const override {
    return rows_[used_.at(i)];
  }
  void commit(SeqId /*seq*/, std::span<const PendingId> path) override {
    n_committed_ += path.size();
  }
  void truncate(SeqId /*seq*/, std::size_t n) override { n_committed_ = n; }

 private:
  static constexpr std::size_t kRows = 16;
  ModelLimits limits_;
  std::vector<std::vector<float>> rows_;
  std::vector<std::size_t> used_;
  std::size_t n_committed_ = 0;
};

void round(benchmark::State& state, const char* method) {
  InstantModel target(2, 0.3F);
  InstantModel draft(3, 0.3F);
  Session session(target, &draft, {.method = parse_method(method), .max_tokens = 1U << 19U});
  const std::vector<TokenId> prompt = {TokenId{1}};
  Outcome outcome = session.start(prompt, 1);
  for (auto _ : state) {
    if (outcome != Outcome::running) outcome = session.start(prompt, 1);
    outcome = session.step();
  }
  state.counters["tokens_per_pass"] = session.statistics().tokens_per_pass();
}
BENCHMARK_CAPTURE(round, ar, "ar")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(round, chain_5, "gumbel-chain")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(round, beam_4x5, "gumbel-beam")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(round, beam_8x8, "gumbel-beam:width=8,length=8")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gumbelspec
