// A request that another server answers, and its answer on the way back, as it comes. Private to
// http/.
#ifndef GUMBELSPEC_APPS_SERVER_HTTP_RELAY_H_
#define GUMBELSPEC_APPS_SERVER_HTTP_RELAY_H_

#include <httplib.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace gumbelspec::server {

// Threads: any, but for the destructor.
class Relay {
 public:
  struct Head {
    int status = 0;
    httplib::Headers headers;
  };

  // socket: a path, where the other server listens. Asks at once, in a thread of its own.
  Relay(const std::string& socket, httplib::Request request);
  // Breaks off what is not over; the other server notices.
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Waits for the answer's head. None: nobody answered, or the client is gone (is_gone, asked now
  // and then).
  [[nodiscard]] std::optional<Head> wait_for_head(const std::function<bool()>& is_gone);

  enum class State { waiting, data, ended, broken };
  // What has come since; waits for a moment where nothing has. broken: the other server went away
  // in the middle.
  State take(std::string& data);

 private:
  void run(httplib::Request request);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Head> head_;
  std::string data_;  // that is not taken; of a limited size
  bool is_over_ = false;
  bool is_whole_ = false;
  bool is_cancelled_ = false;
  httplib::Client client_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_HTTP_RELAY_H_
