// One text of an answer while it comes.
#ifndef GUMBELSPEC_APPS_SERVER_API_ANSWER_CHOICE_H_
#define GUMBELSPEC_APPS_SERVER_API_ANSWER_CHOICE_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
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

class AnswerChoice final {
 public:
  AnswerChoice(const ApiModel& model, const ParsedRequest& request, std::size_t index)
      : model_(model),
        index_(index),
        prompt_(index / static_cast<std::size_t>(request.n)),
        n_logprobs_(request.n_logprobs),
        chat_(request.chat),
        text_(request.stop) {}

  void set_reused(std::size_t n) { n_reused_ = n; }
  // Returns: whether the text goes on.
  bool add(const BatchRound& round);
  void finish(Outcome outcome, const Statistics& statistics);

  [[nodiscard]] std::string take_text() { return text_.take(); }
  // The tokens whose text has been taken. Tokens of a stop string never are.
  [[nodiscard]] std::vector<TokenReport> take_reports();

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
  std::size_t n_generated_ = 0;
  std::size_t n_reused_ = 0;
  std::size_t n_rounds_ = 0;
  const char* finish_reason_ = nullptr;
  Statistics statistics_;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_ANSWER_CHOICE_H_
