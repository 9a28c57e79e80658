#include "apps/server/api/answer.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "apps/server/api/answer_choice.h"
#include "apps/server/api/answer_clock.h"
#include "apps/server/api/answer_json.h"
#include "apps/server/api/answer_native.h"
#include "apps/server/api/chat_events.h"
#include "apps/server/api/chat_format.h"

namespace gumbelspec::server {
namespace {

class AnswerImpl final : public Answer {
 public:
  AnswerImpl(const ApiModel& model, ParsedRequest request, AnswerOptions options,
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
      messages_.emplace_back(request_.chat, options_.id + "c" + std::to_string(i) + "t");
    }
  }

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

Json AnswerImpl::logprobs(std::span<const TokenReport> reports) const {
  if (request_.n_logprobs < 0) return nullptr;
  return is_chat() ? chat_logprobs(model_, reports) : completion_logprobs(model_, reports);
}

// What to write of a choice: at first with the prompt, if it is to be echoed.
std::string AnswerImpl::new_text(std::size_t i) {
  std::string text = choices_[i].take_text();
  if (has_begun_[i] == 0 && request_.echo) {
    text.insert(0, request_.prompt_texts[choices_[i].prompt()]);
  }
  return text;
}

// A chat's first event has the role alone.
void AnswerImpl::write_role(std::size_t i) {
  has_begun_[i] = 1;
  Json chunk = head_;
  chunk["choices"] = Json::array({{{"index", i},
                                   {"delta", {{"role", "assistant"}, {"content", nullptr}}},
                                   {"logprobs", nullptr},
                                   {"finish_reason", nullptr}}});
  write(std::move(chunk));
}

void AnswerImpl::write_progress(std::size_t i, std::size_t n_done, std::size_t n_total) {
  if (is_chat() && has_begun_[i] == 0) write_role(i);
  if (is_over_) return;
  Json chunk;
  if (is_native()) {
    chunk = native_event(model_, choices_[i], request_, {});
  } else {
    chunk = head_;
    chunk["choices"] = Json::array({chunk_choice(i, "", {})});
    has_begun_[i] = is_chat() ? 1 : 0;  // what is echoed is still to come
  }
  chunk["prompt_progress"] = {{"total", n_total},
                              {"cache", choices_[i].n_reused()},
                              {"processed", n_done},
                              {"time_ms", clocks_[i].since_prompt_ms()}};
  if (request_.native.timings_per_token) chunk["timings"] = clocks_[i].timings(choices_[i]);
  write(std::move(chunk));
}

Json AnswerImpl::chunk_choice(std::size_t i, const std::string& text,
                              std::span<const TokenReport> reports) {
  Json out{{"index", i}};
  if (is_chat()) {
    Json delta = Json::object();
    if (!text.empty()) delta["content"] = text;
    out["delta"] = std::move(delta);
  } else {
    out["text"] = text;
  }
  out["logprobs"] = reports.empty() ? Json(nullptr) : logprobs(reports);
  out["finish_reason"] = nullptr;
  has_begun_[i] = 1;
  return out;
}

void AnswerImpl::write_round(std::size_t i, Json trace) {
  if (is_chat() && has_begun_[i] == 0) write_role(i);
  if (is_over_) return;
  const std::string text = new_text(i);
  const std::vector<TokenReport> reports = choices_[i].take_reports();
  const bool has_trace = !trace.is_null();
  if (!messages_.empty()) {
    return write_message(i, messages_[i].add(text), reports, std::move(trace));
  }
  // A round may end within a character or a possible stop string, and then has nothing to say.
  if (text.empty() && !has_trace && (is_native() || reports.empty())) return;
  Json chunk;
  if (is_native()) {
    chunk = native_event(model_, choices_[i], request_, {text, choices_[i].take_tokens(), reports});
    has_begun_[i] = 1;
  } else {
    chunk = head_;
    chunk["choices"] = Json::array({chunk_choice(i, text, reports)});
  }
  if (has_trace) chunk["gumbelspec_trace"] = std::move(trace);
  if (request_.native.timings_per_token) chunk["timings"] = clocks_[i].timings(choices_[i]);
  write(std::move(chunk));
}

// An event for each thing that a message has got.
void AnswerImpl::write_message(std::size_t i, const std::vector<MessageDelta>& deltas,
                               std::span<const TokenReport> reports, Json trace) {
  const bool is_first = std::exchange(has_begun_[i], 1) == 0;
  if (events_ != nullptr) {
    const std::string begin = is_first ? events_->begin(summary()) : std::string();
    std::string events = begin + events_->add(deltas);
    if (!events.empty()) write_raw(std::move(events));
    return;
  }
  const auto write_delta = [&](Json delta, bool is_last) {
    if (is_over_) return;
    Json chunk = head_;
    Json choice{{"index", i}, {"delta", std::move(delta)}};
    const bool has_reports = is_last && !reports.empty();
    choice["logprobs"] = has_reports ? logprobs(reports) : Json(nullptr);
    choice["finish_reason"] = nullptr;
    chunk["choices"] = Json::array({std::move(choice)});
    if (is_last && !trace.is_null()) chunk["gumbelspec_trace"] = std::move(trace);
    if (request_.native.timings_per_token) chunk["timings"] = clocks_[i].timings(choices_[i]);
    write(std::move(chunk));
  };
  if (is_first) write_delta({{"role", "assistant"}, {"content", nullptr}}, false);
  for (std::size_t k = 0; k < deltas.size(); ++k) {
    write_delta(delta_json(deltas[k]), k + 1 == deltas.size());
  }
  if (deltas.empty() && (!reports.empty() || !trace.is_null())) write_delta(Json::object(), true);
}

const char* AnswerImpl::finish_reason(std::size_t i) const {
  const char* reason = choices_[i].finish_reason();
  const bool has_calls = !messages_.empty() && !messages_[i].message().tool_calls.empty();
  return has_calls && std::string_view(reason) == "stop" ? "tool_calls" : reason;
}

ChatEnd AnswerImpl::chat_end() const {
  const AnswerChoice& choice = choices_.front();
  ChatEnd end;
  end.is_cut = std::string_view(choice.finish_reason()) == "length";
  end.summary = summary();
  const auto last = request_.stop.end() - static_cast<std::ptrdiff_t>(request_.n_template_stops);
  if (std::find(request_.stop.begin(), last, choice.stopping_word()) != last) {
    end.stop = choice.stopping_word();
  }
  end.extra["timings"] = timings_json(choices_);
  end.extra["gumbelspec"] = gumbelspec_json(request_, options_.seed, end.summary);
  return end;
}

void AnswerImpl::write_last(std::size_t i) {
  write_round(i, nullptr);  // what was held back
  if (!messages_.empty() && !is_over_) write_message(i, messages_[i].finish(""), {}, nullptr);
  if (is_over_) return;
  if (events_ != nullptr) return write_raw(events_->end(chat_end()));
  if (is_native()) {
    Json end = native_end(model_, choices_[i], request_, options_.seed, {new_text(i)});
    end["gumbelspec"] = gumbelspec_json(request_, options_.seed, summary());
    return write_raw(to_event(chosen_fields(end, request_.native.response_fields)));
  }
  const bool is_last = n_running_ == 0;
  Json chunk = head_;
  Json choice = chunk_choice(i, has_begun_[i] == 0 ? new_text(i) : std::string(), {});
  choice["finish_reason"] = finish_reason(i);
  if (request_.scores_prompts()) {
    const AnswerChoice& text = choices_[i];
    choice["logprobs"] =
        prompt_logprobs(model_, request_.prompts[text.prompt()], text.prompt_reports(), {});
  }
  chunk["choices"] = Json::array({std::move(choice)});
  if (is_last && !request_.includes_usage) add_totals(chunk);
  write(std::move(chunk));
  if (is_last && request_.includes_usage && !is_over_) {
    Json totals = head_;
    totals["choices"] = Json::array();
    add_totals(totals);
    write_raw(to_event(totals));
  }
  if (is_last) write_raw("data: [DONE]\n\n");
}

void AnswerImpl::write(Json chunk) {
  // OpenAI's events say that the usage is still to come.
  if (request_.includes_usage) chunk["usage"] = nullptr;
  write_raw(to_event(chunk));
}

void AnswerImpl::write_raw(std::string event) {
  if (is_over_) return;
  ++n_written_;
  if (output_.write(std::move(event))) return;
  is_over_ = true;
  is_disconnected_ = true;
}

void AnswerImpl::add_totals(Json& json) const {
  const AnswerSummary sums = summary();
  json["usage"] = usage_json(sums);
  json["timings"] = timings_json(choices_);
  json["gumbelspec"] = gumbelspec_json(request_, options_.seed, sums);
}

Json AnswerImpl::native_text(const AnswerChoice& choice) const {
  const std::size_t i = choice.index();
  const std::string echo = request_.echo ? request_.prompt_texts[choice.prompt()] : std::string();
  Json text = native_end(model_, choice, request_, options_.seed,
                         {echo + texts_[i], tokens_[i], reports_[i]});
  text["gumbelspec"] = gumbelspec_json(request_, options_.seed, summary());
  return text;
}

// One object for one text, as llama.cpp's server has it.
Json AnswerImpl::native_answer() const {
  Json list = Json::array();
  for (const AnswerChoice& choice : choices_) {
    list.push_back(chosen_fields(native_text(choice), request_.native.response_fields));
  }
  return list.size() == 1 ? list.front() : list;
}

Json AnswerImpl::whole_answer() const {
  if (is_native()) return native_answer();
  if (events_ != nullptr) return events_->whole(messages_.front().message(), chat_end());
  Json out = head_;
  Json list = Json::array();
  for (const AnswerChoice& choice : choices_) {
    const std::size_t i = choice.index();
    Json item{{"index", i}};
    if (!messages_.empty()) {
      item["message"] = message_json(messages_[i].message());
    } else if (is_chat()) {
      item["message"] = {{"role", "assistant"}, {"content", texts_[i]}, {"refusal", nullptr}};
    } else {
      item["text"] = request_.echo ? request_.prompt_texts[choice.prompt()] + texts_[i] : texts_[i];
    }
    item["logprobs"] = request_.scores_prompts()
                           ? prompt_logprobs(model_, request_.prompts[choice.prompt()],
                                             choice.prompt_reports(), reports_[i])
                           : logprobs(reports_[i]);
    item["finish_reason"] = finish_reason(i);
    list.push_back(std::move(item));
  }
  out["choices"] = std::move(list);
  add_totals(out);
  if (request_.native.is_verbose) out["__verbose"] = native_text(choices_.front());
  return out;
}

AnswerSummary AnswerImpl::summary() const {
  AnswerSummary sums = summary_of(request_, choices_);
  if (has_failed_) sums.finish = "error";
  if (is_disconnected_) sums.finish = "disconnected";
  return sums;
}

}  // namespace

std::shared_ptr<Answer> Answer::make(const ApiModel& model, ParsedRequest request,
                                     AnswerOptions options, AnswerOutput output) {
  return std::make_shared<AnswerImpl>(model, std::move(request), std::move(options),
                                      std::move(output));
}

}  // namespace gumbelspec::server
