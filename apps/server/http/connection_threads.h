// A thread for every connection while it lasts, so that slow readers, idle connections and long
// answers are in nobody's way. Private to http/.
#ifndef GUMBELSPEC_APPS_SERVER_HTTP_CONNECTION_THREADS_H_
#define GUMBELSPEC_APPS_SERVER_HTTP_CONNECTION_THREADS_H_

#include <httplib.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

namespace gumbelspec::server {

// httplib's own pool makes no thread while one is idle, however many connections wait for that one.
class ConnectionThreads final : public httplib::TaskQueue {
 public:
  // most: threads; most_waiting: connections that wait for one, more are closed at once.
  ConnectionThreads(std::size_t most, std::size_t most_waiting)
      : most_(most), most_waiting_(most_waiting) {}
  ~ConnectionThreads() override { shutdown(); }
  ConnectionThreads(const ConnectionThreads&) = delete;
  ConnectionThreads& operator=(const ConnectionThreads&) = delete;

  // Returns: false if there is no room.
  bool enqueue(std::function<void()> connection) override;
  // Finishes what has been enqueued.
  void shutdown() override;

 private:
  void work(std::list<std::thread>::iterator self);
  void add_thread();
  void join_ended();

  const std::size_t most_;
  const std::size_t most_waiting_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  std::list<std::thread> threads_;
  std::vector<std::thread> ended_;  // to be joined
  std::size_t n_idle_ = 0;
  bool is_shut_down_ = false;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_HTTP_CONNECTION_THREADS_H_
