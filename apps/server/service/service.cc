#include "apps/server/service/service.h"

#include <array>
#include <ctime>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace gumbelspec::server {
namespace {

std::string random_id() {
  std::random_device device;
  std::string id;
  for (int i = 0; i < 24; ++i) id += "0123456789abcdef"[device() & 15U];
  return id;
}

ApiError error_of(Interruption reason) {
  switch (reason) {
    case Interruption::timed_out:
      return {504, "timeout_error",
              "the request took longer than the server allows; the text is incomplete; ask for "
              "fewer tokens (max_tokens)",
              "", "request_timeout"};
    case Interruption::shutting_down:
      return {503, "server_error", "the server is shutting down; the text is incomplete", "",
              "shutting_down"};
    case Interruption::cancelled:
      break;
  }
  return {499, "server_error", "the client went away"};
}

}  // namespace

std::uint64_t random_seed() {
  std::random_device device;
  return ((std::uint64_t{device()} << 32U) | device()) & ((std::uint64_t{1} << 53U) - 1);
}

// Between the scheduler and an answer's text: looks at the clock.
class Exchange::TimedSink final : public TextSink {
 public:
  TimedSink(std::shared_ptr<Exchange> exchange, Metrics& metrics, std::unique_ptr<TextSink> sink)
      : exchange_(std::move(exchange)), metrics_(metrics), sink_(std::move(sink)) {}

  void on_prompt(std::size_t n_done, std::size_t n_total, std::size_t n_reused) override {
    sink_->on_prompt(n_done, n_total, n_reused);
  }
  bool on_round(const BatchRound& round) override {
    if (!round.tokens.empty()) observe(round.tokens.size());
    return sink_->on_round(round);
  }
  void on_end(Outcome outcome, const Statistics& statistics, const Error* error) override {
    sink_->on_end(outcome, statistics, error);
  }

 private:
  void observe(std::size_t n_tokens) {
    const Clock::time_point now = Clock::now();
    metrics_.observe_tokens_per_pass(n_tokens);
    if (last_) {
      metrics_.observe_gap(std::chrono::duration<double>(now - *last_).count());
    } else {
      const double first = std::chrono::duration<double>(now - exchange_->arrival_).count();
      metrics_.observe_first_token(first);
      if (!exchange_->first_token_s_) exchange_->first_token_s_ = first;
    }
    last_ = now;
  }

  std::shared_ptr<Exchange> exchange_;
  Metrics& metrics_;
  std::unique_ptr<TextSink> sink_;
  std::optional<Clock::time_point> last_;
};

void Exchange::cancel() {
  channel_.close();
  scheduler_.cancel(id_);
}

Service::Service(ApiModel model, std::unique_ptr<TextEngine> engine, ServiceOptions options,
                 Metrics& metrics)
    : model_(std::move(model)),
      options_(std::move(options)),
      metrics_(metrics),
      scheduler_(std::move(engine),
                 {.n_active = options_.n_active,
                  .n_waiting = options_.n_waiting,
                  .on_round = [&metrics](const BatchStatistics& s) { metrics.set_batch(s); },
                  .on_failure = options_.on_failure,
                  .make_engine = options_.make_engine,
                  .on_loss = options_.on_loss}) {}

ApiError Service::refusal(Admission admission) const {
  switch (admission) {
    case Admission::queue_full:
      return {429, "overloaded_error",
              "the queue is full: " + std::to_string(scheduler_.n_texts()) +
                  " texts are under way or waiting, the limit is " +
                  std::to_string(options_.n_active + options_.n_waiting) + "; try again later",
              "", "queue_full"};
    case Admission::stopping:
      return {503, "server_error", "the server is shutting down", "", "shutting_down"};
    default:
      return {500, "server_error", "the engine has failed; restart the server"};
  }
}

std::shared_ptr<Exchange> Service::complete(Endpoint endpoint, std::string_view body) {
  auto exchange = std::make_shared<Exchange>(scheduler_, options_.max_event_bytes);
  ParsedRequest request =
      endpoint == Endpoint::chat ? parse_chat(body, model_) : parse_completion(body, model_);
  AnswerOptions options;
  options.id = random_id();
  options.created = static_cast<std::int64_t>(std::time(nullptr));
  options.seed = request.seed ? *request.seed : options_.draw_seed();
  AnswerOutput output;
  output.write = [exchange](const std::string& event) { return exchange->channel_.write(event); };
  output.end = [exchange](AnswerEnd end) { exchange->channel_.end(std::move(end)); };
  const std::shared_ptr<Answer> answer =
      Answer::make(model_, std::move(request), std::move(options), std::move(output));
  std::vector<TextJob> jobs = answer->take_jobs();
  for (TextJob& job : jobs) {
    job.sink = std::make_unique<Exchange::TimedSink>(exchange, metrics_, std::move(job.sink));
  }
  RequestHooks hooks;
  hooks.on_interrupted = [answer](Interruption reason) { answer->fail(error_of(reason)); };
  hooks.on_refused = [answer](const Error& error) { answer->fail(api_error(error)); };
  hooks.on_done = [answer, exchange] { exchange->channel_.finish(answer->summary()); };
  std::optional<Clock::time_point> deadline;
  if (options_.request_timeout.count() > 0) {
    deadline = exchange->arrival_ + options_.request_timeout;
  }
  const Scheduler::Added added = scheduler_.add(std::move(jobs), std::move(hooks), deadline);
  if (added.admission != Admission::accepted) throw refusal(added.admission);
  exchange->id_ = added.id;
  return exchange;
}

}  // namespace gumbelspec::server
