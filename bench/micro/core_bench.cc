// What one position costs: noise, log-weights with their truncations, choice, children. One core.
#include <benchmark/benchmark.h>

#include <span>
#include <string>
#include <vector>

#include "gumbelspec/noise.h"
#include "gumbelspec/sampling.h"
#include "testing/row_model.h"

namespace gumbelspec {
namespace {

void fill(benchmark::State& state, Simd simd) {
  if (simd > best_simd()) {
    state.SkipWithError("not on this processor");
    return;
  }
  std::vector<float> row(static_cast<std::size_t>(state.range(0)));
  std::uint32_t position = 0;
  for (auto _ : state) {
    fill_noise({7, 0}, Position{position++}, row, simd);
    benchmark::DoNotOptimize(row.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(fill, scalar, Simd::scalar)->Arg(4096)->Arg(151936);
BENCHMARK_CAPTURE(fill, avx2, Simd::avx2)->Arg(4096)->Arg(151936);
BENCHMARK_CAPTURE(fill, avx512, Simd::avx512)->Arg(4096)->Arg(151936);

// The settings that people use: llama.cpp's defaults are the fifth, Qwen's the seventh.
struct Setting {
  const char* name;
  SamplingOptions options;
};
const std::vector<Setting>& settings() {
  static const std::vector<Setting> kAll = {
      {"temp_1", {}},
      {"temp_07", {.temperature = 0.7F}},
      {"top_k_40", {.temperature = 0.7F, .top_k = 40}},
      {"min_p_005", {.temperature = 0.7F, .min_p = 0.05F}},
      {"all_three", {.temperature = 0.7F, .top_k = 40, .top_p = 0.95F, .min_p = 0.05F}},
      {"top_p_095", {.temperature = 0.7F, .top_p = 0.95F}},
      {"top_p_08_top_k_20", {.temperature = 0.7F, .top_k = 20, .top_p = 0.8F}},
      {"penalties", {.temperature = 0.7F, .top_k = 40, .repeat_penalty = 1.1F}},
  };
  return kAll;
}

// A few rows that take turns, as those of a tree do: one alone would stay in the nearest cache.
class Rows {
 public:
  Rows(std::size_t n_vocab, float scale) {
    for (std::uint32_t i = 0; i < 4; ++i) {
      testing::fill_row(1, i, scale, logits_.emplace_back(n_vocab));
    }
    noise_.resize(n_vocab);
    of_list_.resize(n_vocab);
    fill_noise({7, 0}, Position{3}, noise_);
  }
  [[nodiscard]] std::span<const float> next() { return logits_[n_++ % logits_.size()]; }
  // As NoiseTable: of a list only its tokens' noise is drawn, the whole row is there already.
  [[nodiscard]] std::span<const float> noise(const KeptRow& row) {
    if (row.is_whole) return noise_;
    noise_of({7, 0}, Position{3}, row.tokens, of_list_);
    return std::span(of_list_).first(row.size());
  }

 private:
  std::vector<std::vector<float>> logits_;
  std::vector<float> noise_;
  std::vector<float> of_list_;
  std::size_t n_ = 0;
};

// Log-weights, truncation and choice of one position, whose noise is there already.
void choice(benchmark::State& state, const SamplingOptions& options, float scale) {
  const auto n_vocab = static_cast<std::size_t>(state.range(0));
  Rows rows(n_vocab, scale);
  LogWeights weights(options, n_vocab);
  const std::vector<TokenId> text(64, TokenId{5});
  for (auto _ : state) {
    const KeptRow row = weights.kept(rows.next(), {text, {}});
    benchmark::DoNotOptimize(choose(row, rows.noise(row)));
  }
}

// The same of a drafted row, with its 16 best children in the place of the choice.
void children(benchmark::State& state, const SamplingOptions& options, float scale) {
  const auto n_vocab = static_cast<std::size_t>(state.range(0));
  Rows rows(n_vocab, scale);
  LogWeights weights(options, n_vocab);
  const std::vector<TokenId> text(64, TokenId{5});
  std::vector<Candidate> best(16);
  ScoreMoments moments;
  for (auto _ : state) {
    const KeptRow row = weights.kept(rows.next(), {text, {}});
    benchmark::DoNotOptimize(best_candidates(row, rows.noise(row), 0.4F, best, &moments));
  }
}

// A node's children, when the noise of the level is there already.
void candidates(benchmark::State& state) {
  Rows rows(151936, testing::kPeakedScale);
  std::vector<Candidate> best(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    const KeptRow row = KeptRow::of(rows.next());
    benchmark::DoNotOptimize(best_candidates(row, rows.noise(row), 0.5F, best));
  }
}
BENCHMARK(candidates)->Arg(1)->Arg(4)->Arg(8)->Arg(64);

void add_settings() {
  struct Shape {
    const char* name;
    float scale;
  };
  for (const Shape shape :
       {Shape{"peaked", testing::kPeakedScale}, Shape{"flat", testing::kFlatScale}}) {
    for (const Setting& setting : settings()) {
      const auto name = [&](const char* what) {
        return std::string(what) + '/' + shape.name + '/' + setting.name;
      };
      const SamplingOptions& options = setting.options;
      const float scale = shape.scale;
      benchmark::RegisterBenchmark(
          name("choice").c_str(),
          [&options, scale](benchmark::State& state) { choice(state, options, scale); })
          ->Arg(4096)
          ->Arg(151936)
          ->Arg(262144)
          ->Unit(benchmark::kMicrosecond);
      benchmark::RegisterBenchmark(
          name("children").c_str(),
          [&options, scale](benchmark::State& state) { children(state, options, scale); })
          ->Arg(151936)
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

}  // namespace
}  // namespace gumbelspec

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  gumbelspec::add_settings();
  benchmark::RunSpecifiedBenchmarks();
}
