#include "apps/server/api/answer_choice.h"

#include <string_view>
#include <utility>

namespace gumbelspec::server {

bool AnswerChoice::add(const BatchRound& round) {
  ++n_rounds_;
  for (std::size_t i = 0; i < round.tokens.size(); ++i) {
    // Of a round that goes on behind a stop string the rest does not count: how many tokens come at
    // once depends on the draft, and the answer must not.
    ++n_generated_;
    std::string bytes = piece(round.tokens[i].token);
    const std::size_t begin = text_.n_bytes();
    const std::size_t offset = text_.n_characters();
    const bool goes_on = text_.append(bytes);
    if (n_logprobs_ >= 0 && i < round.logprobs.size()) {
      report(round, i, std::move(bytes), begin, offset);
    }
    if (!goes_on) return false;
  }
  return true;
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
  const bool is_full = outcome == Outcome::length || outcome == Outcome::context_full;
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
