// From texts to the rows of the comparison.
#ifndef GUMBELSPEC_APPS_BENCH_SUMMARY_H_
#define GUMBELSPEC_APPS_BENCH_SUMMARY_H_

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/bench/measure.h"

namespace gumbelspec::apps::bench {

// Of one figure per run.
struct Spread {
  double median = 0.0;
  double min = 0.0;
  double max = 0.0;
  double q1 = 0.0;  // quartiles, interpolated
  double q3 = 0.0;
};
// Requires: at least one value.
[[nodiscard]] Spread spread_of(std::vector<double> values);

// What is not known of a foreign program is empty.
struct BenchRow {
  std::string method;
  std::string shape;
  float temperature = 1.0F;
  bool is_peer = false;      // a foreign program
  bool is_replayed = false;  // counts of a trace, times of a model of costs
  std::size_t n_runs = 0;
  std::size_t n_texts = 0;
  std::size_t n_tokens = 0;
  std::vector<double> speeds;  // tokens/s of each run
  Spread tokens_per_s;
  std::optional<Spread> speedup_vs_ar;
  std::optional<Spread> speedup_vs_rejection;  // the best chain of the same temperature
  // Over all runs; a pass is one of the target.
  std::optional<std::size_t> n_passes;
  std::optional<std::size_t> n_draft_passes;
  std::optional<double> accepted_per_pass;
  std::optional<double> tokens_per_pass;
  std::optional<double> nodes_per_pass;  // drafted ones, the root not counted
  // Per round.
  std::optional<Spread> target_ms;
  std::optional<Spread> draft_ms;
  std::optional<Spread> own_ms;
  std::vector<DepthCount> by_depth;      // element i: depth i + 1; up to the last one with a draft
  std::optional<PlannerReport> planner;  // of a planned tree: the sum over its texts, tau the last
  // Texts that are not those of ar with the same seed. Empty where they need not be.
  std::optional<std::size_t> n_texts_different;
};

// The rows of one temperature, without the ratios; the first method is ar if there is one.
// guarantee: of the planned methods. Shape of runs: [run]; runs without texts are left out.
[[nodiscard]] std::vector<BenchRow> summarize(std::span<const Method> methods, float temperature,
                                              std::span<const RunTexts> runs,
                                              Guarantee guarantee = Guarantee::seed);

// One row of that name, of the m-th element of each run; without texts n_runs is 0.
[[nodiscard]] BenchRow row_of(const std::string& method, const std::string& shape, std::size_t m,
                              std::span<const RunTexts> runs);

// Fills in the ratios, run by run, within each temperature. Runs without a counterpart are left
// out.
void compare(std::vector<BenchRow>& rows);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_SUMMARY_H_
