#include "apps/bench/summary.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "apps/bench/methods.h"

namespace gumbelspec::apps::bench {
namespace {

// Sums over the texts of one run.
struct Totals {
  std::size_t n_tokens = 0, n_rounds = 0, n_passes = 0, n_draft_passes = 0;
  std::size_t n_drafted = 0, n_accepted = 0;
  double decode_s = 0.0, target_s = 0.0, draft_s = 0.0, own_s = 0.0;
  std::vector<DepthCount> by_depth;

  void add(const Statistics& s) {
    n_tokens += s.n_generated;
    n_rounds += s.n_rounds;
    n_passes += s.n_target_passes;
    n_draft_passes += s.n_draft_passes;
    n_drafted += s.n_drafted;
    n_accepted += s.n_accepted;
    decode_s += s.decode_s;
    target_s += s.target_s;
    draft_s += s.draft_s;
    own_s += s.own_s();
    by_depth.resize(std::max(by_depth.size(), s.by_depth.size()));
    for (std::size_t i = 0; i < s.by_depth.size(); ++i) {
      by_depth[i].n_drafted += s.by_depth[i].n_drafted;
      by_depth[i].n_accepted += s.by_depth[i].n_accepted;
    }
  }
};

void add_planner(std::optional<PlannerReport>& sum, const PlannerReport& report) {
  if (!sum) {
    sum = report;
    return;
  }
  sum->tau = report.tau;
  sum->n_probes += report.n_probes;
  sum->n_tokens += report.n_tokens;
  sum->expected_tokens += report.expected_tokens;
  sum->expected_s += report.expected_s;
  sum->seconds += report.seconds;
  sum->plan_s += report.plan_s;
  for (std::size_t i = 0; i < report.calibration.size(); ++i) {
    sum->calibration[i].n += report.calibration[i].n;
    sum->calibration[i].expected += report.calibration[i].expected;
    sum->calibration[i].n_hit += report.calibration[i].n_hit;
  }
}

double ratio(double part, double whole) { return whole > 0.0 ? part / whole : 0.0; }
double ratio(std::size_t part, std::size_t whole) {
  return ratio(static_cast<double>(part), static_cast<double>(whole));
}

double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = at - std::floor(at);
  return sorted[below] * (1.0 - weight) + sorted[above] * weight;
}

bool is_ar(const BenchRow& row) { return row.method == "ar"; }
bool is_chain(const BenchRow& row) { return row.method == "rejection"; }

// Times and speeds of each run; counts over all of them.
struct Figures {
  std::vector<double> target_ms, draft_ms, own_ms;
  Totals all;
};

std::optional<Spread> ratios(const BenchRow& row, const BenchRow* base) {
  if (base == nullptr) return std::nullopt;
  std::vector<double> values;
  for (std::size_t r = 0; r < std::min(row.speeds.size(), base->speeds.size()); ++r) {
    if (base->speeds[r] > 0.0) values.push_back(row.speeds[r] / base->speeds[r]);
  }
  if (values.empty()) return std::nullopt;
  return spread_of(std::move(values));
}

}  // namespace

Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.5), values.front(), values.back(), quantile(values, 0.25),
          quantile(values, 0.75)};
}

BenchRow row_of(const std::string& method, const std::string& shape, std::size_t m,
                std::span<const RunTexts> runs) {
  BenchRow row;
  row.method = method;
  row.shape = shape;
  Figures figures;
  for (const RunTexts& run : runs) {
    if (run.size() <= m || run[m].empty()) continue;
    Totals totals;
    for (const BenchText& text : run[m]) {
      totals.add(text.statistics);
      figures.all.add(text.statistics);
      if (text.planner) add_planner(row.planner, *text.planner);
    }
    ++row.n_runs;
    row.n_texts += run[m].size();
    row.speeds.push_back(ratio(static_cast<double>(totals.n_tokens), totals.decode_s));
    const double rounds = static_cast<double>(totals.n_rounds) / 1000.0;
    figures.target_ms.push_back(ratio(totals.target_s, rounds));
    figures.draft_ms.push_back(ratio(totals.draft_s, rounds));
    figures.own_ms.push_back(ratio(totals.own_s, rounds));
  }
  if (row.n_runs == 0) return row;
  const Totals& all = figures.all;
  row.n_tokens = all.n_tokens;
  row.tokens_per_s = spread_of(row.speeds);
  row.n_passes = all.n_passes;
  row.n_draft_passes = all.n_draft_passes;
  row.accepted_per_pass = ratio(all.n_accepted, all.n_passes);
  row.tokens_per_pass = ratio(all.n_tokens, all.n_passes);
  row.nodes_per_pass = ratio(all.n_drafted, all.n_passes);
  row.target_ms = spread_of(std::move(figures.target_ms));
  row.draft_ms = spread_of(std::move(figures.draft_ms));
  row.own_ms = spread_of(std::move(figures.own_ms));
  row.by_depth = all.by_depth;
  while (!row.by_depth.empty() && row.by_depth.back().n_drafted == 0) row.by_depth.pop_back();
  return row;
}

std::vector<BenchRow> summarize(std::span<const Method> methods, float temperature,
                                std::span<const RunTexts> runs, Guarantee guarantee) {
  std::vector<BenchRow> rows;
  std::optional<std::size_t> ar;
  for (std::size_t m = 0; m < methods.size(); ++m) {
    if (!methods[m].drafts()) ar = m;
  }
  for (std::size_t m = 0; m < methods.size(); ++m) {
    BenchRow row = row_of(method_name(methods[m]), shape_text(methods[m]), m, runs);
    if (row.n_runs == 0) continue;
    row.temperature = temperature;
    // Without randomness there is one text, whatever the method draws.
    const bool is_mixed = guarantee == Guarantee::distribution && methods[m].is_planned();
    const bool must_agree = (methods[m].keeps_seed() && !is_mixed) || temperature == 0.0F;
    if (ar && m != *ar && must_agree) {
      std::size_t n = 0;
      for (const RunTexts& run : runs) {
        if (!run.empty()) n += n_different(run[m], run[*ar]);
      }
      row.n_texts_different = n;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

void compare(std::vector<BenchRow>& rows) {
  for (BenchRow& row : rows) {
    const BenchRow* ar = nullptr;
    const BenchRow* chain = nullptr;
    for (const BenchRow& other : rows) {
      if (other.temperature != row.temperature) continue;
      if (is_ar(other)) ar = &other;
      if (!is_chain(other)) continue;
      if (chain == nullptr || other.tokens_per_s.median > chain->tokens_per_s.median) {
        chain = &other;
      }
    }
    row.speedup_vs_ar = ratios(row, ar);
    row.speedup_vs_rejection = ratios(row, chain);
  }
}

}  // namespace gumbelspec::apps::bench
