#include "apps/server/api/answer_choice.h"

#include <string_view>
#include <utility>

namespace gumbelspec::server {

TextOptions text_options(const ParsedRequest& request, std::uint64_t seed, std::size_t i) {
  TextOptions options = request.text;
  options.seed = seed;
  options.stream = static_cast<std::uint32_t>(i % static_cast<std::size_t>(request.n));
  options.scores_prompt = request.scores_prompts();
  if (request.grammar != nullptr) options.constraint = request.grammar->matcher();
  return options;
}

bool AnswerChoice::add(const BatchRound& round, std::size_t begin, std::size_t end) {
  if (begin == 0) ++n_rounds_;
  for (std::size_t i = begin; i < end; ++i) {
    // Of a round that goes on behind a stop string the rest does not count: how many tokens come at
    // once depends on the draft, and the answer must not.
    ++n_generated_;
    std::string bytes = piece(round.tokens[i].token);
    tokens_.push_back(round.tokens[i].token);
    has_new_line_ = has_new_line_ || bytes.find('\n') != std::string::npos;
    const std::size_t first_byte = text_.n_bytes();
    const std::size_t offset = text_.n_characters();
    const bool goes_on = text_.append(bytes);
    if (n_logprobs_ >= 0 && i < round.logprobs.size()) {
      report(round, i, std::move(bytes), first_byte, offset);
    }
    if (!goes_on) return false;
  }
  return true;
}

void AnswerChoice::add_prompt(std::span<const TokenLogprob> logprobs,
                              std::span<const TokenLogprob> top) {
  const std::size_t n_top = logprobs.empty() ? 0 : top.size() / logprobs.size();
  for (std::size_t i = 0; i < logprobs.size(); ++i) {
    TokenReport report;
    report.bytes = model_.tokenizer->text(logprobs[i].token);
    report.chosen = logprobs[i];
    const auto likeliest = top.subspan(i * n_top, n_top);
    report.top.assign(likeliest.begin(), likeliest.end());
    prompt_reports_.push_back(std::move(report));
  }
}

std::string AnswerChoice::piece(TokenId token) const {
  if (chat_ != nullptr) {
    const auto written = chat_->written.find(token);
    if (written != chat_->written.end()) return written->second;
  }
  return model_.tokenizer->piece(token);
}

void AnswerChoice::report(const BatchRound& round, std::size_t i, std::string bytes,
                          std::size_t begin, std::size_t offset) {
  const auto n_top = static_cast<std::size_t>(n_logprobs_);
  TokenReport report{std::move(bytes), begin, text_.n_bytes(), offset, round.logprobs[i], {}};
  if (round.top_logprobs.size() >= (i + 1) * n_top) {
    const auto top = round.top_logprobs.subspan(i * n_top, n_top);
    report.top.assign(top.begin(), top.end());
  }
  reports_.push_back(std::move(report));
}

void AnswerChoice::finish(Outcome outcome, const Statistics& statistics) {
  text_.finish();
  statistics_ = statistics;
  is_truncated_ = outcome == Outcome::context_full;
  const bool is_full = outcome == Outcome::length || is_truncated_ || is_cut_;
  finish_reason_ = is_full && !text_.is_stopped() ? "length" : "stop";
}

const char* AnswerChoice::stop_type() const {
  if (finish_reason_ == nullptr) return "none";
  if (text_.is_stopped()) return "word";
  return std::string_view(finish_reason_) == "length" ? "limit" : "eos";
}

std::vector<TokenReport> AnswerChoice::take_reports() {
  const auto is_out = [this](const TokenReport& report) {
    // The token that a stop string begins in may have given a part of its text.
    if (text_.is_stopped()) return report.begin < text_.n_taken();
    return finish_reason_ != nullptr || report.end <= text_.n_taken();
  };
  std::vector<TokenReport> out;
  while (!reports_.empty() && is_out(reports_.front())) {
    out.push_back(std::move(reports_.front()));
    reports_.pop_front();
  }
  return out;
}

}  // namespace gumbelspec::server
