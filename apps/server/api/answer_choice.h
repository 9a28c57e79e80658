// One text of an answer while it comes.
#ifndef GUMBELSPEC_APPS_SERVER_API_ANSWER_CHOICE_H_
#define GUMBELSPEC_APPS_SERVER_API_ANSWER_CHOICE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "apps/server/api/request.h"
#include "apps/server/api/text_stream.h"
#include "gumbelspec/batch.h"

namespace gumbelspec::server {

// A token of the text with its log-probabilities.
struct TokenReport {
  std::string bytes;
  std::size_t begin = 0;   // byte of the text at which it begins
  std::size_t end = 0;     // and ends
  std::size_t offset = 0;  // begin, in characters
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;
};

// What the engine is to do for text i of a request: choice i % n of prompt i / n, without a sink.
[[nodiscard]] TextOptions text_options(const ParsedRequest& request, std::uint64_t seed,
                                       std::size_t i);

class AnswerChoice final {
 public:
  AnswerChoice(const ApiModel& model, const ParsedRequest& request, std::size_t index)
      : model_(model),
        index_(index),
        prompt_(index / static_cast<std::size_t>(request.n)),
        n_logprobs_(request.text.n_logprobs),
        chat_(request.chat),
        text_(request.stop) {}

  void set_reused(std::size_t n) { n_reused_ = n; }
  // Tokens of the prompt that now have log-probabilities. Shape: as TextSink::on_prompt_logprobs().
  void add_prompt(std::span<const TokenLogprob> logprobs, std::span<const TokenLogprob> top);
  // Tokens [begin, end) of the round. Returns: whether the text goes on.
  bool add(const BatchRound& round, std::size_t begin, std::size_t end);
  bool add(const BatchRound& round) { return add(round, 0, round.tokens.size()); }
  // It ends here, as if at its limit.
  void cut() { is_cut_ = true; }
  void finish(Outcome outcome, const Statistics& statistics);

  [[nodiscard]] std::string take_text() { return text_.take(); }
  // The tokens whose text has been taken. Tokens of a stop string never are.
  [[nodiscard]] std::vector<TokenReport> take_reports();
  // The tokens that have come since the last call.
  [[nodiscard]] std::vector<TokenId> take_tokens() { return std::exchange(tokens_, {}); }
  // Of the prompt's, but for the first: it has none.
  [[nodiscard]] const std::vector<TokenReport>& prompt_reports() const { return prompt_reports_; }

  [[nodiscard]] std::size_t index() const { return index_; }
  [[nodiscard]] std::size_t prompt() const { return prompt_; }
  [[nodiscard]] std::size_t n_generated() const { return n_generated_; }
  [[nodiscard]] std::size_t n_reused() const { return n_reused_; }
  [[nodiscard]] std::size_t n_rounds() const { return n_rounds_; }
  // "stop" or "length"; null before the end.
  [[nodiscard]] const char* finish_reason() const { return finish_reason_; }
  // llama.cpp's finer one: "eos", "word", "limit"; "none" before the end.
  [[nodiscard]] const char* stop_type() const;
  [[nodiscard]] const std::string& stopping_word() const { return text_.stopped_by(); }
  [[nodiscard]] const Statistics& statistics() const { return statistics_; }
  [[nodiscard]] bool has_new_line() const { return has_new_line_; }
  // Whether the context was full before the text had an end.
  [[nodiscard]] bool is_truncated() const { return is_truncated_; }

 private:
  [[nodiscard]] std::string piece(TokenId token) const;
  void report(const BatchRound& round, std::size_t i, std::string bytes, std::size_t begin,
              std::size_t offset);

  const ApiModel& model_;
  std::size_t index_;
  std::size_t prompt_;
  int n_logprobs_;
  std::shared_ptr<const ChatFormat> chat_;  // null: no control token is part of the text
  TextStream text_;
  std::deque<TokenReport> reports_;
  std::vector<TokenId> tokens_;
  std::vector<TokenReport> prompt_reports_;
  bool has_new_line_ = false;
  bool is_truncated_ = false;
  bool is_cut_ = false;
  std::size_t n_generated_ = 0;
  std::size_t n_reused_ = 0;
  std::size_t n_rounds_ = 0;
  const char* finish_reason_ = nullptr;
  Statistics statistics_;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_ANSWER_CHOICE_H_
