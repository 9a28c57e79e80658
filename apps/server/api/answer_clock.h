// When a text's parts came, for what is told of it on the way.
#ifndef GUMBELSPEC_APPS_SERVER_API_ANSWER_CLOCK_H_
#define GUMBELSPEC_APPS_SERVER_API_ANSWER_CLOCK_H_

#include <chrono>
#include <cstddef>
#include <optional>

#include "apps/server/api/answer_choice.h"
#include "apps/server/api/json_text.h"

namespace gumbelspec::server {

class AnswerClock {
 public:
  using Clock = std::chrono::steady_clock;

  // The prompt is being read. Returns: whether it is the first call.
  bool begin();
  // So many of its tokens are read now, besides what was reused.
  void note_prompt(std::size_t n_read) { n_read_ = n_read; }
  void note_tokens();
  [[nodiscard]] std::size_t n_read() const { return n_read_; }

  // Since the prompt was begun, and since the first token had come; 0 before that. Units: ms.
  [[nodiscard]] double since_prompt_ms() const { return since(began_); }
  [[nodiscard]] double since_token_ms() const { return since(first_token_); }
  // As timings_json(), of a text under way.
  [[nodiscard]] Json timings(const AnswerChoice& choice) const;

 private:
  [[nodiscard]] static double since(const std::optional<Clock::time_point>& begin);

  std::optional<Clock::time_point> began_;
  std::optional<Clock::time_point> first_token_;
  std::size_t n_read_ = 0;  // what was reused not counted
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_ANSWER_CLOCK_H_
