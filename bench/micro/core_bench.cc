// What one position costs: noise, log-weights, argmax. One core.
#include <benchmark/benchmark.h>

#include <vector>

#include "gumbelspec/noise.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec {
namespace {

// Rows as peaked as those of language models: Gumbel-distributed logits, scaled.
std::vector<float> logits_of(std::size_t n_vocab) {
  std::vector<float> row(n_vocab);
  fill_noise({1, 0}, 0, row);
  for (float& x : row) x *= 2.0F;
  return row;
}

void fill(benchmark::State& state, Simd simd) {
  if (simd > best_simd()) {
    state.SkipWithError("not on this processor");
    return;
  }
  std::vector<float> row(static_cast<std::size_t>(state.range(0)));
  Position position = 0;
  for (auto _ : state) {
    fill_noise({7, 0}, position++, row, simd);
    benchmark::DoNotOptimize(row.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(fill, scalar, Simd::scalar)->Arg(4096)->Arg(131072);
BENCHMARK_CAPTURE(fill, avx2, Simd::avx2)->Arg(4096)->Arg(131072);
BENCHMARK_CAPTURE(fill, avx512, Simd::avx512)->Arg(4096)->Arg(131072);

// Noise, log-weights and argmax: everything between a row of logits and a token.
void position(benchmark::State& state, const SamplingOptions& options) {
  const auto n_vocab = static_cast<std::size_t>(state.range(0));
  const std::vector<float> logits = logits_of(n_vocab);
  std::vector<float> noise(n_vocab);
  LogWeights weights(options, n_vocab);
  const std::vector<TokenId> text(64, TokenId{5});
  Position at = 0;
  for (auto _ : state) {
    fill_noise({7, 0}, at++, noise);
    benchmark::DoNotOptimize(choose(weights(logits, {text, {}}), noise));
  }
}
BENCHMARK_CAPTURE(position, temperature_1, SamplingOptions{})->Arg(4096)->Arg(131072);
BENCHMARK_CAPTURE(position, temperature_08, SamplingOptions{.temperature = 0.8F})
    ->Arg(4096)
    ->Arg(131072);
BENCHMARK_CAPTURE(position, top_k_40, SamplingOptions{.temperature = 0.8F, .top_k = 40})
    ->Arg(131072);
BENCHMARK_CAPTURE(position, top_p_095, SamplingOptions{.temperature = 0.8F, .top_p = 0.95F})
    ->Arg(131072);
BENCHMARK_CAPTURE(position, penalties, SamplingOptions{.temperature = 0.8F, .repeat_penalty = 1.1F})
    ->Arg(131072);

// A node's children, when the noise of the level is there already.
void candidates(benchmark::State& state) {
  constexpr std::size_t kVocab = 131072;
  const std::vector<float> logits = logits_of(kVocab);
  std::vector<float> noise(kVocab);
  fill_noise({7, 0}, 3, noise);
  std::vector<Candidate> best(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(best_candidates(logits, noise, 0.5F, best));
  }
}
BENCHMARK(candidates)->Arg(1)->Arg(4)->Arg(8)->Arg(64);

}  // namespace
}  // namespace gumbelspec
