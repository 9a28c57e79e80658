#include "apps/server/http/relay.h"

#include <sys/socket.h>

#include <chrono>
#include <utility>

namespace gumbelspec::server {
namespace {

constexpr std::chrono::milliseconds kLook{20};
// The other server has its own limits for what a request may take.
constexpr std::chrono::hours kLongest{24 * 365};
constexpr std::chrono::seconds kConnect{5};
constexpr std::size_t kMostBytes = std::size_t{1} << 20U;  // that the client has not read yet

}  // namespace

Relay::Relay(const std::string& socket, httplib::Request request)
    : client_(socket), thread_([this, sent = std::move(request)] { run(sent); }) {}

Relay::~Relay() {
  {
    std::unique_lock lock(mutex_);
    is_cancelled_ = true;
    changed_.notify_all();
    // Stopping does nothing to a connection that is not there yet.
    while (!is_over_) {
      lock.unlock();
      client_.stop();
      lock.lock();
      changed_.wait_for(lock, kLook, [this] { return is_over_; });
    }
  }
  thread_.join();
}

void Relay::run(httplib::Request request) {
  client_.set_address_family(AF_UNIX);
  client_.set_connection_timeout(kConnect);
  client_.set_read_timeout(kLongest);
  client_.set_write_timeout(kLongest);
  request.response_handler = [this](const httplib::Response& response) {
    const std::lock_guard lock(mutex_);
    head_ = Head{response.status, response.headers};
    changed_.notify_all();
    return !is_cancelled_;
  };
  request.content_receiver = [this](const char* bytes, std::size_t n, std::size_t /*offset*/,
                                    std::size_t /*total*/) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return data_.size() < kMostBytes || is_cancelled_; });
    data_.append(bytes, n);
    changed_.notify_all();
    return !is_cancelled_;
  };
  const httplib::Result result = client_.send(request);
  const std::lock_guard lock(mutex_);
  is_whole_ = static_cast<bool>(result);
  is_over_ = true;
  changed_.notify_all();
}

std::optional<Relay::Head> Relay::wait_for_head(const std::function<bool()>& is_gone) {
  std::unique_lock lock(mutex_);
  while (!head_ && !is_over_) {
    changed_.wait_for(lock, kLook);
    if (!head_ && is_gone()) return {};
  }
  return head_;
}

Relay::State Relay::take(std::string& data) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kLook, [this] { return !data_.empty() || is_over_; });
  data = std::exchange(data_, {});
  changed_.notify_all();
  if (!data.empty()) return State::data;
  if (!is_over_) return State::waiting;
  return is_whole_ ? State::ended : State::broken;
}

}  // namespace gumbelspec::server
