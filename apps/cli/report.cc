#include "apps/cli/report.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace gumbelspec::cli {
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
  }
  out += "time      target " + seconds(s.target_s) + ", draft " + seconds(s.draft_s) + ", own " +
         seconds(s.own_s()) + "\n";
  return out;
}

}  // namespace gumbelspec::cli
