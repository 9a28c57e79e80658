#include "apps/common/report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <utility>
#include <vector>

namespace gumbelspec::apps {
namespace {

// The clock knows no more digits.
double to_microseconds(double seconds) { return std::round(seconds * 1e6) / 1e6; }

double percent(std::size_t part, std::size_t whole) {
  return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string seconds(double value) { return formatted(value < 1.0 ? "%.3f s" : "%.2f s", value); }

}  // namespace

std::string formatted(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

Json statistics_json(const Statistics& s) {
  Json sources = Json::object();
  for (const SourceCount& count : s.by_source) {
    sources[count.name] = {{"n_drafted", count.n_drafted}, {"n_accepted", count.n_accepted}};
  }
  return {
      {"n_prompt", s.n_prompt},
      {"n_generated", s.n_generated},
      {"n_rounds", s.n_rounds},
      {"n_target_passes", s.n_target_passes},
      {"n_draft_passes", s.n_draft_passes},
      {"n_drafted", s.n_drafted},
      {"n_accepted", s.n_accepted},
      {"tokens_per_pass", s.tokens_per_pass()},
      {"prompt_s", to_microseconds(s.prompt_s)},
      {"decode_s", to_microseconds(s.decode_s)},
      {"tokens_per_s", s.tokens_per_s()},
      {"target_s", to_microseconds(s.target_s)},
      {"draft_s", to_microseconds(s.draft_s)},
      {"own_s", to_microseconds(s.own_s())},
      {"sources", std::move(sources)},
  };
}

std::string statistics_text(const Statistics& s) {
  const auto n = [](std::size_t count) { return std::to_string(count); };
  std::string out;
  out += "prompt    " + n(s.n_prompt) + " tokens in " + seconds(s.prompt_s) + "\n";
  out += "text      " + n(s.n_generated) + " tokens in " + seconds(s.decode_s) + ", " +
         formatted("%.1f tokens/s", s.tokens_per_s()) + "\n";
  out += "passes    " + n(s.n_target_passes) + " of the target, " + n(s.n_draft_passes) +
         " of the draft; " + formatted("%.2f tokens per target pass", s.tokens_per_pass()) + "\n";
  if (s.n_drafted > 0) {
    out += "drafted   " + n(s.n_drafted) + " tokens, " + n(s.n_accepted) + " accepted" +
           formatted(" (%.1f %%)", percent(s.n_accepted, s.n_drafted)) + "\n";
    out += "sources   ";
    for (const SourceCount& count : s.by_source) {
      out += (&count == s.by_source.data() ? "" : ", ") + count.name + " " + n(count.n_accepted) +
             " of " + n(count.n_drafted);
    }
    out += "\n";
  }
  out += "time      target " + seconds(s.target_s) + ", draft " + seconds(s.draft_s) + ", own " +
         seconds(s.own_s()) + "\n";
  return out;
}

std::string planner_text(const PlannerReport& r) {
  if (r.seconds <= 0.0) return {};
  const auto n_rounds = static_cast<double>(
      std::accumulate(r.rounds_by_nodes.begin(), r.rounds_by_nodes.end(), std::size_t{0}));
  // The sizes of most rounds, the most frequent first.
  std::vector<std::size_t> sizes(r.rounds_by_nodes.size());
  std::iota(sizes.begin(), sizes.end(), std::size_t{0});
  std::stable_sort(sizes.begin(), sizes.end(), [&](std::size_t a, std::size_t b) {
    return r.rounds_by_nodes[a] > r.rounds_by_nodes[b];
  });
  std::string out = "planner   nodes verified:";
  for (std::size_t i = 0; i < std::min<std::size_t>(sizes.size(), 6); ++i) {
    const auto n = static_cast<double>(r.rounds_by_nodes[sizes[i]]);
    if (n == 0.0) break;
    out += (i == 0 ? " " : ", ") + std::to_string(sizes[i]) +
           formatted(" in %.0f %%", 100.0 * n / n_rounds);
  }
  out += "; levels:";
  for (std::size_t i = 0; i < r.rounds_by_levels.size(); ++i) {
    const auto n = static_cast<double>(r.rounds_by_levels[i]);
    if (n > 0.0) out += " " + std::to_string(i) + formatted(" in %.0f %%", 100.0 * n / n_rounds);
  }
  out += "\nexpected  " + formatted("%.2f tokens per round", r.expected_tokens / n_rounds) +
         formatted(" (came: %.2f)", static_cast<double>(r.n_tokens) / n_rounds) +
         formatted(", %.1f tokens/s", r.expected_tokens / std::max(r.expected_s, 1e-9)) +
         formatted(" (came: %.1f)", static_cast<double>(r.n_tokens) / r.seconds) +
         formatted("; tau %.2f", r.tau) +
         formatted("; planning %.2f %% of the time", 100.0 * r.plan_s / r.seconds) + ", " +
         std::to_string(r.n_probes) + " probes\n";
  const auto& n_blocks = r.blocks_by_arm;
  if (n_blocks[0] + n_blocks[1] + n_blocks[2] > 0) {
    out += "blocks    gumbel-tree " + std::to_string(n_blocks[0]) + ", block " +
           std::to_string(n_blocks[1]) + ", rejection-tree " + std::to_string(n_blocks[2]) +
           "; the lines above are gumbel-tree's\n";
  }
  return out;
}

}  // namespace gumbelspec::apps
