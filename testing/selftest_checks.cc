#include "testing/selftest_checks.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "testing/reference.h"
#include "testing/statistics.h"
#include "testing/table_model.h"

namespace gumbelspec::testing {
namespace {

constexpr std::size_t kJointTokens = 3;
// One more than is counted, so that the tree may go one level further than the counted tokens.
constexpr std::size_t kTokens = 4;
constexpr std::array<TokenId, 2> kPrompt = {TokenId{1}, TokenId{3}};

TableModel target_model() { return TableModel({.n_vocab = 5, .seed = 20240607, .spread = 1.5F}); }
TableModel draft_model(const TableModel& target) { return TableModel::draft_of(target, 0.6F, 977); }

std::vector<std::uint64_t> joint_counts(Session& session, std::size_t n_vocab,
                                        std::size_t n_samples, std::uint64_t first_seed) {
  std::size_t n_outcomes = 1;
  for (std::size_t i = 0; i < kJointTokens; ++i) n_outcomes *= n_vocab;
  std::vector<std::uint64_t> counts(n_outcomes);
  for (std::size_t i = 0; i < n_samples; ++i) {
    Outcome outcome = session.start(kPrompt, first_seed + i);
    while (outcome == Outcome::running) outcome = session.step();
    std::size_t at = 0;
    for (std::size_t j = 0; j < kJointTokens; ++j) {
      at = at * n_vocab + index(session.generated()[j].token);
    }
    ++counts[at];
  }
  return counts;
}

SamplingOptions with_penalties() {
  SamplingOptions s;
  s.repeat_penalty = 1.3F;
  s.presence_penalty = 0.4F;
  s.frequency_penalty = 0.3F;
  return s;
}

bool is_wanted(const std::string& name, const CheckExtent& extent) {
  return extent.wanted.empty() ||
         std::any_of(extent.wanted.begin(), extent.wanted.end(),
                     [&](const std::string& part) { return name.find(part) != std::string::npos; });
}

}  // namespace

std::vector<DistributionCase> distribution_cases() {
  const auto method = [](const char* text) { return parse_method(text); };
  SamplingOptions all = with_penalties();
  all.temperature = 0.8F;
  all.top_p = 0.9F;
  all.min_p = 0.05F;
  all.penalty_last_n = 3;
  SamplingOptions biased;
  biased.logit_bias = {{TokenId{2}, 1.5F}, {TokenId{4}, -0.7F}};
  return {
      {"ar, T 1", {}, method("ar")},
      {"ar, T 0.7, top-p 0.8", {.temperature = 0.7F, .top_p = 0.8F}, method("ar")},
      {"greedy chain of 3, T 1", {}, method("greedy-chain:length=3")},
      {"chain of 1, T 1", {}, method("gumbel-chain:length=1")},
      {"chain of 3, T 1", {}, method("gumbel-chain:length=3")},
      {"chain of 3, T 1.7", {.temperature = 1.7F}, method("gumbel-chain:length=3")},
      {"beam 2x2, T 1", {}, method("gumbel-beam:width=2,length=2")},
      {"beam 4x3, T 1", {}, method("gumbel-beam:width=4,length=3")},
      {"beam 4x3 pruned, T 0.6",
       {.temperature = 0.6F},
       method("gumbel-beam:width=4,length=3,keep=0")},
      {"beam 5x3 of 7 nodes, T 1", {}, method("gumbel-beam:width=5,length=3,nodes=7,tau=1")},
      {"beam 3x3, top-k 3", {.top_k = 3}, method("gumbel-beam:width=3,length=3")},
      {"beam 3x3, top-p 0.7", {.top_p = 0.7F}, method("gumbel-beam:width=3,length=3")},
      {"beam 3x3, T 1.5, min-p 0.2",
       {.temperature = 1.5F, .min_p = 0.2F},
       method("gumbel-beam:width=3,length=3")},
      {"chain of 3, penalties", with_penalties(), method("gumbel-chain:length=3")},
      {"beam 3x3, everything", all, method("gumbel-beam:width=3,length=3")},
      {"beam 3x3, biases", biased, method("gumbel-beam:width=3,length=3")},
      {"rejection of 1, T 1", {}, method("rejection:length=1")},
      {"rejection of 3, T 1", {}, method("rejection:length=3")},
      {"rejection of 3, T 0.6, top-p 0.8",
       {.temperature = 0.6F, .top_p = 0.8F},
       method("rejection:length=3")},
      {"rejection of 3, everything", all, method("rejection:length=3")},
      {"block of 3, T 1", {}, method("block:length=3")},
      {"block of 3, T 0.6, top-p 0.8",
       {.temperature = 0.6F, .top_p = 0.8F},
       method("block:length=3")},
      {"block of 3, everything", all, method("block:length=3")},
      {"rejection tree 2x2, T 1", {}, method("rejection-tree:width=2,length=2")},
      {"rejection tree 3x3, T 1", {}, method("rejection-tree:width=3,length=3")},
      {"rejection tree 4x3 of 7 nodes, T 0.6",
       {.temperature = 0.6F},
       method("rejection-tree:length=3,nodes=7")},
      {"rejection tree 4x1, T 1.7", {.temperature = 1.7F}, method("rejection-tree:length=1")},
      {"rejection tree 3x3, top-k 3", {.top_k = 3}, method("rejection-tree:width=3,length=3")},
      {"rejection tree 3x3, T 1.5, min-p 0.2",
       {.temperature = 1.5F, .min_p = 0.2F},
       method("rejection-tree:width=3,length=3")},
      {"rejection tree 3x3, everything", all, method("rejection-tree:width=3,length=3")},
      {"head, tree of 7 nodes, everything", all, method("gumbel-tree:nodes=7,length=3"), true},
      {"head, rejection of 3, T 1", {}, method("rejection:length=3"), true},
      {"head, block of 3, T 0.7", {.temperature = 0.7F}, method("block:length=3"), true},
  };
}

CheckResult check_distribution(const DistributionCase& c, Sabotage sabotage, std::size_t n_samples,
                               std::uint64_t first_seed) {
  TableModel target = target_model();
  TableModel draft =
      c.has_head ? TableModel::head_of(target, 0.6F, 977, true) : draft_model(target);
  TextOptions options;
  options.sampling = c.sampling;
  options.method = c.method;
  options.max_tokens = kTokens;
  SessionParts parts;
  put_in(sabotage, draft, options, parts);
  Session session(target, &draft, options, std::move(parts));
  const std::vector<std::uint64_t> counts =
      joint_counts(session, target.limits().n_vocab, n_samples, first_seed);
  const TestResult test =
      g_test(counts, joint_probabilities(target, c.sampling, kPrompt, kJointTokens));
  char detail[96];
  std::snprintf(detail, sizeof detail, "G = %.1f, %.0f degrees of freedom, p = %.2g",
                test.statistic, test.degrees, test.p_value);
  return {c.name, test.p_value >= kFalseAlarmRate, detail, test.p_value};
}

std::vector<CheckResult> distribution_checks(Sabotage sabotage, const CheckExtent& extent,
                                             const Progress& on_progress) {
  std::vector<CheckResult> results;
  // With the same seeds every method would give the very same texts; each case gets its own.
  std::uint64_t first_seed = 1;
  for (const DistributionCase& c : distribution_cases()) {
    const std::uint64_t seed = std::exchange(first_seed, first_seed + extent.n_samples);
    if (!is_wanted(c.name, extent)) continue;
    if (on_progress) on_progress(c.name);
    results.push_back(check_distribution(c, sabotage, extent.n_samples, seed));
  }
  return results;
}

std::vector<CheckResult> sabotage_checks(const CheckExtent& extent, const Progress& on_progress) {
  struct Case {
    Sabotage sabotage;
    const char* method;
    float temperature;
  };
  // What goes wrong after a rejection shows the better the more is rejected: where it is cold.
  constexpr std::array<Case, 9> kCases = {{
      {Sabotage::exponential_noise, "gumbel-beam:width=4,length=3", 1.0F},
      {Sabotage::reused_noise, "gumbel-beam:width=4,length=3", 1.0F},
      {Sabotage::ratio_test, "gumbel-chain:length=3", 1.0F},
      {Sabotage::fresh_noise_per_path, "gumbel-beam:width=4,length=3", 1.0F},
      {Sabotage::resample_from_p, "rejection:length=3", 1.0F},
      {Sabotage::draft_not_renormalised, "rejection-tree:length=3", 0.4F},
      {Sabotage::draft_noise_reused, "rejection:length=3", 1.0F},
      {Sabotage::uniform_reused, "rejection-tree:length=3", 1.0F},
      {Sabotage::candidates_dropped, "rejection-tree:length=3", 1.0F},
  }};
  std::vector<CheckResult> results;
  for (const Case& c : kCases) {
    const std::string name(sabotage_names()[static_cast<std::size_t>(c.sabotage)]);
    if (!is_wanted(name, extent)) continue;
    if (on_progress) on_progress(name);
    const SamplingOptions sampling = {.temperature = c.temperature};
    CheckResult check =
        check_distribution({name, sampling, parse_method(c.method)}, c.sabotage, extent.n_samples);
    check.passed = !check.passed;
    results.push_back(std::move(check));
  }
  return results;
}

}  // namespace gumbelspec::testing
