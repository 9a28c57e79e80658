// What a round costs besides its model passes: a session over models that answer at once.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "gumbelspec/session.h"
#include "testing/row_model.h"

namespace gumbelspec {
namespace {

struct Setting {
  const char* name;
  SamplingOptions options;
};
constexpr std::size_t kVocab = 151936;

void round(benchmark::State& state, const char* method, const SamplingOptions& sampling,
           float scale) {
  using testing::RowModel;
  // The two have most of a row in common.
  RowModel target({.n_vocab = kVocab, .scale = scale, .own_seed = 2, .own_share = 0.3F});
  RowModel draft({.n_vocab = kVocab, .scale = scale, .own_seed = 3, .own_share = 0.3F});
  Session session(target, &draft,
                  {.sampling = sampling, .method = parse_method(method), .max_tokens = 1U << 19U});
  const std::vector<TokenId> prompt = {TokenId{1}};
  Outcome outcome = session.start(prompt, 1);
  for (auto _ : state) {
    if (outcome != Outcome::running) outcome = session.start(prompt, 1);
    outcome = session.step();
  }
  state.counters["tokens_per_pass"] = session.statistics().tokens_per_pass();
}

void add_rounds() {
  static const std::vector<Setting> kSettings = {
      {"temp_1", {}},
      {"top_k_40", {.temperature = 0.7F, .top_k = 40}},
      {"min_p_005", {.temperature = 0.7F, .min_p = 0.05F}},
      {"all_three", {.temperature = 0.7F, .top_k = 40, .top_p = 0.95F, .min_p = 0.05F}},
      {"top_p_095", {.temperature = 0.7F, .top_p = 0.95F}},
      {"top_p_08_top_k_20", {.temperature = 0.7F, .top_k = 20, .top_p = 0.8F}},
  };
  const auto add = [](const std::string& name, const char* method, const SamplingOptions& options,
                      float scale) {
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      round(state, method, options, scale);
    })->Unit(benchmark::kMillisecond);
  };
  for (const bool is_flat : {false, true}) {
    const float scale = is_flat ? testing::kFlatScale : testing::kPeakedScale;
    for (const Setting& setting : kSettings) {
      const std::string name = std::string(is_flat ? "flat/" : "peaked/") + setting.name;
      add(name + "/ar", "ar", setting.options, scale);
      add(name + "/tree_16", "gumbel-tree:nodes=16", setting.options, scale);
    }
  }
  for (const char* method : {"gumbel-chain", "gumbel-beam", "gumbel-beam:width=8,length=8"}) {
    add(method, method, {}, testing::kPeakedScale);
  }
}

}  // namespace
}  // namespace gumbelspec

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  gumbelspec::add_rounds();
  benchmark::RunSpecifiedBenchmarks();
}
