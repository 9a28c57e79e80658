// The bytes of one answer, on their way from the engine's thread to a connection's. Bounded, so
// that a client that does not read costs neither memory nor the engine's time.
#ifndef GUMBELSPEC_APPS_SERVER_SERVICE_RESPONSE_CHANNEL_H_
#define GUMBELSPEC_APPS_SERVER_SERVICE_RESPONSE_CHANNEL_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "apps/server/api/answer.h"

namespace gumbelspec::server {

class ResponseChannel {
 public:
  explicit ResponseChannel(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // The engine's side.
  // Returns: whether the event was taken; not if it does not fit, or after close(). Then none is
  // taken any more.
  bool write(std::string_view event);
  void end(AnswerEnd end);
  // The last call: all texts of the request have ended.
  void finish(const AnswerSummary& summary);

  // The connection's side.
  enum class State {
    waiting,   // nothing has come, nothing has ended
    events,    // there is something to take
    ended,     // all has been taken; answer() has the end
    too_slow,  // events were lost because they were not taken in time
  };
  // Waits for something to take, or for the end, but not longer than this.
  State wait(std::chrono::milliseconds longest);
  // What has come, and has not been taken yet.
  [[nodiscard]] std::string take();
  // Requires: wait() returned ended.
  [[nodiscard]] AnswerEnd answer() const;
  // The client has gone.
  void close();
  // Waits for finish().
  [[nodiscard]] AnswerSummary wait_until_finished();

 private:
  [[nodiscard]] State state() const;

  const std::size_t max_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string events_;
  std::optional<AnswerEnd> end_;
  std::optional<AnswerSummary> summary_;
  bool is_closed_ = false;
  bool is_too_slow_ = false;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_SERVICE_RESPONSE_CHANNEL_H_
