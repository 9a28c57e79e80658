// An answer, whose parts are in answer.cc (its life), answer_stream.cc (its events) and
// answer_whole.cc (one JSON object). Private to api/.
#ifndef GUMBELSPEC_APPS_SERVER_API_ANSWER_IMPL_H_
#define GUMBELSPEC_APPS_SERVER_API_ANSWER_IMPL_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/server/api/answer.h"
#include "apps/server/api/answer_choice.h"
#include "apps/server/api/answer_clock.h"
#include "apps/server/api/chat_events.h"
#include "apps/server/api/chat_format.h"
#include "apps/server/api/json_text.h"

namespace gumbelspec::server {

class AnswerImpl final : public Answer {
 public:
  AnswerImpl(const ApiModel& model, ParsedRequest request, AnswerOptions options,
             AnswerOutput output);

  std::vector<TextJob> take_jobs() override;
  void fail(const ApiError& error) override;
  [[nodiscard]] bool is_over() const override { return is_over_; }
  [[nodiscard]] AnswerSummary summary() const override;

  void on_prompt(std::size_t i, std::size_t n_done, std::size_t n_total, std::size_t n_reused);
  void on_prompt_logprobs(std::size_t i, std::span<const TokenLogprob> logprobs,
                          std::span<const TokenLogprob> top) {
    choices_[i].add_prompt(logprobs, top);
  }
  bool on_round(std::size_t i, const BatchRound& round);
  void on_end(std::size_t i, Outcome outcome, const Statistics& statistics, const Error* error);

 private:
  [[nodiscard]] bool is_chat() const { return request_.endpoint == Endpoint::chat; }
  [[nodiscard]] bool is_native() const {
    return request_.endpoint == Endpoint::native || request_.endpoint == Endpoint::infill;
  }
  [[nodiscard]] Json native_answer() const;
  [[nodiscard]] Json native_text(const AnswerChoice& choice) const;
  [[nodiscard]] bool add_tokens(std::size_t i, const BatchRound& round, std::size_t begin,
                                std::size_t end, Json trace);
  [[nodiscard]] bool is_out_of_time(const AnswerChoice& choice) const;
  void keep(std::size_t i);
  void write_progress(std::size_t i, std::size_t n_done, std::size_t n_total);
  void write_role(std::size_t i);
  [[nodiscard]] Json logprobs(std::span<const TokenReport> reports) const;
  [[nodiscard]] std::string new_text(std::size_t i);
  [[nodiscard]] Json chunk_choice(std::size_t i, const std::string& text,
                                  std::span<const TokenReport> reports);
  void write_round(std::size_t i, Json trace);
  void write_message(std::size_t i, const std::vector<MessageDelta>& deltas,
                     std::span<const TokenReport> reports, Json trace);
  void write_last(std::size_t i);
  [[nodiscard]] const char* finish_reason(std::size_t i) const;
  [[nodiscard]] ChatEnd chat_end() const;
  void write(Json chunk);
  void write_raw(std::string event);
  void add_totals(Json& json) const;
  [[nodiscard]] Json whole_answer() const;

  const ApiModel& model_;
  ParsedRequest request_;
  AnswerOptions options_;
  AnswerOutput output_;
  Json head_;
  std::vector<AnswerChoice> choices_;
  std::vector<std::string> texts_;                 // without stream: so far
  std::vector<std::vector<TokenReport>> reports_;  // the same
  std::vector<std::vector<TokenId>> tokens_;       // the same, of llama.cpp's form
  std::vector<char> has_begun_;                    // with stream: its first event is written
  std::vector<AnswerClock> clocks_;                // of each text
  std::vector<ChatMessageStream> messages_;        // of each text that is read; none: empty
  std::unique_ptr<ChatEvents> events_;             // of another form of a chat; else null
  std::size_t n_running_ = 0;
  std::size_t n_written_ = 0;
  bool is_over_ = false;
  bool is_disconnected_ = false;
  bool has_failed_ = false;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_ANSWER_IMPL_H_
