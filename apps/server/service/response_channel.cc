#include "apps/server/service/response_channel.h"

#include <utility>

namespace gumbelspec::server {

bool ResponseChannel::write(std::string_view event) {
  bool fits = false;
  {
    const std::lock_guard lock(mutex_);
    if (is_closed_ || is_too_slow_) return false;
    fits = events_.size() + event.size() <= max_bytes_;
    is_too_slow_ = !fits;
    if (fits) events_ += event;
  }
  changed_.notify_all();
  return fits;
}

void ResponseChannel::end(AnswerEnd end) {
  {
    const std::lock_guard lock(mutex_);
    end_ = std::move(end);
  }
  changed_.notify_all();
}

void ResponseChannel::finish(const AnswerSummary& summary) {
  {
    const std::lock_guard lock(mutex_);
    summary_ = summary;
  }
  changed_.notify_all();
}

ResponseChannel::State ResponseChannel::state() const {
  if (is_too_slow_) return State::too_slow;
  if (!events_.empty()) return State::events;
  return end_ || summary_ ? State::ended : State::waiting;
}

ResponseChannel::State ResponseChannel::wait(std::chrono::milliseconds longest) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, longest, [this] { return state() != State::waiting; });
  return state();
}

std::string ResponseChannel::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

AnswerEnd ResponseChannel::answer() const {
  const std::lock_guard lock(mutex_);
  return end_.value_or(AnswerEnd{});
}

void ResponseChannel::close() {
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
}

AnswerSummary ResponseChannel::wait_until_finished() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return summary_.has_value(); });
  return *summary_;
}

}  // namespace gumbelspec::server
