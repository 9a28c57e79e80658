// A completion as its connection's thread sees it: events as they come, or one answer at the end,
// and somebody who may go away at any time.
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "apps/server/http/http_state.h"

namespace gumbelspec::server {
namespace {

// How long a client can be gone before it is noticed while nothing is generated for it.
constexpr std::chrono::milliseconds kLook{20};
constexpr int kClientGone = 499;

using State = ResponseChannel::State;

class CompletionRun : public std::enable_shared_from_this<CompletionRun> {
 public:
  CompletionRun(HttpState& state, std::shared_ptr<Exchange> exchange,
                const httplib::Request& request, const char* type)
      : state_(state), exchange_(std::move(exchange)), type_(type) {
    state_.under_way.begin();
    state_.gate.enter_again();
    record_.method = request.method;
    record_.path = request.path;
  }
  // Connections may be broken off anywhere.
  ~CompletionRun() {
    if (!is_over_) finish(kClientGone);
  }
  CompletionRun(const CompletionRun&) = delete;
  CompletionRun& operator=(const CompletionRun&) = delete;

  void answer(const httplib::Request& request, httplib::Response& response);

 private:
  // Until there is an event, an end, or no client any more.
  State wait_for_first(const httplib::Request& request);
  void stream(const httplib::Request& request, httplib::Response& response);
  bool send(httplib::DataSink& sink);
  void finish(int status);

  ResponseChannel& channel() { return exchange_->channel(); }

  HttpState& state_;
  std::shared_ptr<Exchange> exchange_;
  const char* type_;  // of a stream
  RequestRecord record_;
  bool is_over_ = false;
};

State CompletionRun::wait_for_first(const httplib::Request& request) {
  while (true) {
    const State state = channel().wait(kLook);
    if (state != State::waiting) return state;
    if (request.is_connection_closed()) return state;
  }
}

void CompletionRun::answer(const httplib::Request& request, httplib::Response& response) {
  response.user_data.set(kIsRecorded, true);
  switch (wait_for_first(request)) {
    case State::events:
      stream(request, response);
      return;
    case State::ended: {
      AnswerEnd end = channel().answer();
      response.status = end.status;
      response.set_content(std::move(end.body), "application/json");
      finish(end.status);
      return;
    }
    case State::waiting:
    case State::too_slow:
      response.status = kClientGone;
      finish(kClientGone);
      return;
  }
}

void CompletionRun::stream(const httplib::Request& request, httplib::Response& response) {
  response.set_header("Cache-Control", "no-cache");
  // Proxies are not to collect events.
  response.set_header("X-Accel-Buffering", "no");
  const auto self = shared_from_this();
  const auto send = [self](std::size_t /*offset*/, httplib::DataSink& sink) {
    return self->send(sink);
  };
  const auto end = [self](bool is_complete) { self->finish(is_complete ? 200 : kClientGone); };
  // HTTP/1.0 knows no chunks: there the end of the connection is the end of the stream.
  if (request.version == "HTTP/1.0") {
    response.set_content_provider(type_, send, end);
  } else {
    response.set_chunked_content_provider(type_, send, end);
  }
}

// Called again and again as long as it returns true; httplib looks whether the client is still
// there in between.
bool CompletionRun::send(httplib::DataSink& sink) {
  switch (channel().wait(kLook)) {
    case State::waiting:
      return true;
    case State::events: {
      const std::string events = channel().take();
      return sink.write(events.data(), events.size());
    }
    case State::ended:
      sink.done();
      return true;
    case State::too_slow:
      return false;
  }
  return false;
}

void CompletionRun::finish(int status) {
  if (std::exchange(is_over_, true)) return;
  // Ended texts do not mind.
  if (status == kClientGone) exchange_->cancel();
  const AnswerSummary summary = channel().wait_until_finished();
  record_.time = log_time();
  record_.status = status;
  record_.total_ms =
      std::chrono::duration<double, std::milli>(Clock::now() - exchange_->arrival()).count();
  record_.n_prompt = summary.n_prompt;
  record_.n_generated = summary.n_generated;
  record_.tokens_per_pass = summary.tokens_per_pass;
  if (exchange_->first_token_s()) record_.first_token_ms = 1e3 * *exchange_->first_token_s();
  record_.finish = status == kClientGone ? "disconnected" : summary.finish;
  state_.record(record_);
  state_.gate.leave();
  state_.under_way.end();
}

}  // namespace

void answer_completion(HttpState& state, Endpoint endpoint, const httplib::Request& request,
                       httplib::Response& response, const std::string& body,
                       const Service::Wrap& wrap, const char* type) {
  if (state.embeddings != nullptr) throw generates_nothing();
  auto exchange = state.ready_service().complete(endpoint, body, wrap);
  std::make_shared<CompletionRun>(state, std::move(exchange), request, type)
      ->answer(request, response);
}

}  // namespace gumbelspec::server
