#include "apps/server/http/connection_threads.h"

#include <chrono>
#include <system_error>
#include <utility>

namespace gumbelspec::server {
namespace {

constexpr std::chrono::seconds kIdle{10};

}  // namespace

bool ConnectionThreads::enqueue(std::function<void()> connection) {
  {
    const std::lock_guard lock(mutex_);
    if (is_shut_down_ || waiting_.size() >= most_waiting_) return false;
    waiting_.push_back(std::move(connection));
    if (waiting_.size() > n_idle_ && threads_.size() < most_) add_thread();
    join_ended();
  }
  changed_.notify_one();
  return true;
}

// Where the system has no thread to give, the connection waits for one that ends.
void ConnectionThreads::add_thread() {
  const auto self = threads_.emplace(threads_.end());
  try {
    *self = std::thread([this, self] { work(self); });
  } catch (const std::system_error&) {
    threads_.erase(self);
  }
}

void ConnectionThreads::work(std::list<std::thread>::iterator self) {
  std::unique_lock lock(mutex_);
  while (true) {
    ++n_idle_;
    changed_.wait_for(lock, kIdle, [this] { return !waiting_.empty() || is_shut_down_; });
    --n_idle_;
    if (waiting_.empty()) break;
    {
      const std::function<void()> connection = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      connection();
    }
    lock.lock();
  }
  ended_.push_back(std::move(*self));
  threads_.erase(self);
  changed_.notify_all();
}

void ConnectionThreads::join_ended() {
  for (std::thread& thread : ended_) thread.join();
  ended_.clear();
}

void ConnectionThreads::shutdown() {
  std::unique_lock lock(mutex_);
  is_shut_down_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return threads_.empty(); });
  // They have given up the mutex for good, or are about to.
  std::vector<std::thread> ended = std::move(ended_);
  ended_.clear();
  lock.unlock();
  for (std::thread& thread : ended) thread.join();
}

}  // namespace gumbelspec::server
