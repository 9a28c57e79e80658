#include "apps/server/api/answer.h"

#include <algorithm>
#include <utility>

#include "apps/server/api/answer_impl.h"
#include "apps/server/api/answer_json.h"

namespace gumbelspec::server {
namespace {

class ChoiceSink final : public TextSink {
 public:
  ChoiceSink(std::shared_ptr<AnswerImpl> answer, std::size_t choice)
      : answer_(std::move(answer)), choice_(choice) {}

  void on_prompt(std::size_t n_done, std::size_t n_total, std::size_t n_reused) override {
    answer_->on_prompt(choice_, n_done, n_total, n_reused);
  }
  void on_prompt_logprobs(std::span<const TokenLogprob> logprobs,
                          std::span<const TokenLogprob> top) override {
    answer_->on_prompt_logprobs(choice_, logprobs, top);
  }
  bool on_round(const BatchRound& round) override { return answer_->on_round(choice_, round); }
  void on_end(Outcome outcome, const Statistics& statistics, const Error* error) override {
    answer_->on_end(choice_, outcome, statistics, error);
  }

 private:
  std::shared_ptr<AnswerImpl> answer_;
  std::size_t choice_;
};

}  // namespace

AnswerImpl::AnswerImpl(const ApiModel& model, ParsedRequest request, AnswerOptions options,
                       AnswerOutput output)
    : model_(model),
      request_(std::move(request)),
      options_(std::move(options)),
      output_(std::move(output)),
      head_(answer_head(model, request_.endpoint, request_.stream, options_)) {
  for (std::size_t i = 0; i < request_.n_texts(); ++i) choices_.emplace_back(model_, request_, i);
  n_running_ = choices_.size();
  texts_.resize(choices_.size());
  reports_.resize(choices_.size());
  tokens_.resize(choices_.size());
  has_begun_.assign(choices_.size(), 0);
  clocks_.resize(choices_.size());
  events_ = chat_events(model_, request_.endpoint, options_);
  if (request_.chat == nullptr && events_ == nullptr) return;
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    messages_.emplace_back(request_.chat, options_.id + "c" + std::to_string(i) + "t",
                           options_.clock);
  }
}

std::vector<TextJob> AnswerImpl::take_jobs() {
  const auto self = std::static_pointer_cast<AnswerImpl>(shared_from_this());
  std::vector<TextJob> jobs;
  for (const AnswerChoice& choice : choices_) {
    TextJob job;
    job.prompt = request_.prompts[choice.prompt()];
    job.options = text_options(request_, options_.seed, choice.index());
    job.sink = std::make_unique<ChoiceSink>(self, choice.index());
    jobs.push_back(std::move(job));
  }
  return jobs;
}

void AnswerImpl::on_prompt(std::size_t i, std::size_t n_done, std::size_t n_total,
                           std::size_t n_reused) {
  choices_[i].set_reused(n_reused);
  if (!request_.stream || is_over_) return;
  const bool tells = request_.native.returns_progress;
  if (clocks_[i].begin() && tells) write_progress(i, n_reused, n_total);
  // The last token is evaluated with the first round; what the draft still reads is not told.
  const std::size_t n_now = n_done + 1 == n_total ? n_total : n_done;
  const std::size_t n_read = n_now - std::min(n_now, n_reused);
  if (n_read == clocks_[i].n_read()) return;
  clocks_[i].note_prompt(n_read);
  if (tells) write_progress(i, n_now, n_total);
}

bool AnswerImpl::on_round(std::size_t i, const BatchRound& round) {
  if (output_.on_tokens && !round.tokens.empty()) output_.on_tokens(i, round.tokens.size());
  if (is_over_) return false;
  AnswerChoice& choice = choices_[i];
  if (!round.tokens.empty()) clocks_[i].note_tokens();
  Json trace;
  if (request_.traces) {
    trace = trace_json(model_, round, choice.n_rounds(), choice.n_generated());
  }
  // Clients of llama.cpp's probabilities expect those of one token in an event.
  const bool is_single = is_native() && request_.stream && request_.native.has_probs;
  const std::size_t n = round.tokens.size();
  const std::size_t step = is_single ? 1 : std::max<std::size_t>(n, 1);
  bool goes_on = true;
  for (std::size_t begin = 0; goes_on && begin < std::max<std::size_t>(n, 1); begin += step) {
    goes_on = add_tokens(i, round, begin, std::min(begin + step, n), std::exchange(trace, nullptr));
  }
  if (goes_on && is_out_of_time(choice)) {
    choice.cut();
    goes_on = false;
  }
  return goes_on && !is_over_;
}

// Returns: whether the text goes on.
bool AnswerImpl::add_tokens(std::size_t i, const BatchRound& round, std::size_t begin,
                            std::size_t end, Json trace) {
  const bool goes_on = choices_[i].add(round, begin, end);
  if (request_.stream) {
    write_round(i, std::move(trace));
  } else {
    keep(i);
  }
  return goes_on;
}

// What has come of a text that is told as a whole.
void AnswerImpl::keep(std::size_t i) {
  AnswerChoice& choice = choices_[i];
  texts_[i] += choice.take_text();
  for (TokenReport& report : choice.take_reports()) reports_[i].push_back(std::move(report));
  const std::vector<TokenId> tokens = choice.take_tokens();
  if (request_.native.returns_tokens) {
    tokens_[i].insert(tokens_[i].end(), tokens.begin(), tokens.end());
  }
}

bool AnswerImpl::is_out_of_time(const AnswerChoice& choice) const {
  const double most = request_.native.max_predict_ms;
  return most > 0.0 && choice.has_new_line() && clocks_[choice.index()].since_token_ms() > most;
}

void AnswerImpl::on_end(std::size_t i, Outcome outcome, const Statistics& statistics,
                        const Error* error) {
  if (is_over_) return;
  if (error != nullptr) return fail(api_error(*error));
  if (outcome == Outcome::cancelled) {
    return fail(ApiError(503, "server_error", "the request was cancelled by the server; try again",
                         "", "cancelled"));
  }
  AnswerChoice& choice = choices_[i];
  choice.finish(outcome, statistics);
  --n_running_;
  if (request_.stream) {
    write_last(i);
  } else {
    keep(i);
  }
  if (n_running_ > 0 || is_over_) return;
  if (!request_.stream) {
    for (std::size_t k = 0; k < messages_.size(); ++k) (void)messages_[k].finish(texts_[k]);
  }
  is_over_ = true;
  output_.end({200, request_.stream ? std::string() : to_text(whole_answer())});
}

void AnswerImpl::fail(const ApiError& error) {
  if (is_over_) return;
  has_failed_ = true;
  const bool as_event = n_written_ > 0;
  if (as_event) write_raw(error.event());
  if (is_over_) return;  // the client has gone
  is_over_ = true;
  output_.end({error.status(), as_event ? std::string() : error.body()});
}

std::shared_ptr<Answer> Answer::make(const ApiModel& model, ParsedRequest request,
                                     AnswerOptions options, AnswerOutput output) {
  return std::make_shared<AnswerImpl>(model, std::move(request), std::move(options),
                                      std::move(output));
}

}  // namespace gumbelspec::server
