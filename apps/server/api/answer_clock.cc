#include "apps/server/api/answer_clock.h"

#include <algorithm>

namespace gumbelspec::server {

bool AnswerClock::begin() {
  const bool is_first = !began_;
  if (is_first) began_ = Clock::now();
  return is_first;
}

void AnswerClock::note_tokens() {
  if (!first_token_) first_token_ = Clock::now();
}

double AnswerClock::since(const std::optional<Clock::time_point>& begin) {
  if (!begin) return 0.0;
  return std::chrono::duration<double, std::milli>(Clock::now() - *begin).count();
}

Json AnswerClock::timings(const AnswerChoice& choice) const {
  const auto ratio = [](double part, double whole) { return whole > 0.0 ? part / whole : 0.0; };
  const auto n_read = static_cast<double>(n_read_);
  const auto n_generated = static_cast<double>(choice.n_generated());
  const double decode_ms = since_token_ms();
  const double prompt_ms = n_read_ == 0 ? 0.0 : std::max(0.0, since_prompt_ms() - decode_ms);
  return {{"cache_n", choice.n_reused()},
          {"prompt_n", n_read_},
          {"prompt_ms", prompt_ms},
          {"prompt_per_token_ms", ratio(prompt_ms, n_read)},
          {"prompt_per_second", ratio(1e3 * n_read, prompt_ms)},
          {"predicted_n", choice.n_generated()},
          {"predicted_ms", decode_ms},
          {"predicted_per_token_ms", ratio(decode_ms, n_generated)},
          {"predicted_per_second", ratio(1e3 * n_generated, decode_ms)}};
}

}  // namespace gumbelspec::server
