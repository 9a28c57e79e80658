// The engine's thread: it alone touches the batch. Requests come in and are cancelled from any
// thread, between two rounds.
#ifndef GUMBELSPEC_APPS_SERVER_SERVICE_SCHEDULER_H_
#define GUMBELSPEC_APPS_SERVER_SERVICE_SCHEDULER_H_

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "apps/server/api/answer.h"
#include "apps/server/service/text_engine.h"

namespace gumbelspec::server {

using Clock = std::chrono::steady_clock;

// A request: one or several texts that come and go together. Never used twice.
enum class RequestId : std::uint64_t {};

// Why the server ends a text that could have gone on.
enum class Interruption {
  cancelled,      // its reader has gone, or is too slow
  timed_out,      // the request's deadline
  shutting_down,  // the drain ended
};

// What becomes of a request besides its texts. Called from the engine's thread; none may be empty.
struct RequestHooks {
  // The server ends it; called before its texts end.
  std::function<void(Interruption)> on_interrupted;
  // The engine takes one of its texts for wrong, or failed; called before the others end.
  std::function<void(const Error&)> on_refused;
  // The last call, exactly once: all texts have ended.
  std::function<void()> on_done;
};

struct SchedulerOptions {
  std::size_t n_active = 1;   // texts decoded at once
  std::size_t n_waiting = 1;  // texts that may wait besides; more are refused
  // Called from the engine's thread after every round. Empty: nobody wants to know.
  std::function<void(const BatchStatistics&)> on_round = {};
  // The same, when the engine has broken (an internal error).
  std::function<void(const std::string& what)> on_failure = {};
  // A machine that computes for the engine is lost (Error{peer_lost}): its texts end with that
  // error, and the next request asks for another engine, from the engine's thread. While there is
  // none, which the function says by the same error, requests end with it, too.
  // Empty: the engine has then broken.
  std::function<std::unique_ptr<TextEngine>()> make_engine = {};
  // The same, when a machine is lost. Empty: nobody wants to know.
  std::function<void(const std::string& what)> on_loss = {};
};

enum class Admission {
  accepted,
  queue_full,  // come again
  stopping,    // no request is accepted any more
  failed,      // the engine is broken (an internal error)
};

// Threads: any, but for the destructor. Lifetime: sinks and hooks may be called until the
// destructor returns.
class Scheduler {
 public:
  Scheduler(std::unique_ptr<TextEngine> engine, SchedulerOptions options);
  // Ends what is still there with Interruption::shutting_down.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  struct Added {
    Admission admission = Admission::accepted;
    RequestId id{};
  };
  // All texts of a request, or none of them: then no hook is called. A request of more texts than
  // there are places is taken when nothing else is there. Of several texts of requests only so many
  // are decoded at once that a place is left for others.
  // Requires: at least one job. The deadline ends it with Interruption::timed_out.
  Added add(std::vector<TextJob> jobs, RequestHooks hooks,
            std::optional<Clock::time_point> deadline = {});

  // Ends a request's texts before the next round. Unknown and ended ids are ignored.
  void cancel(RequestId id);

  // Runs it in the engine's thread, before the next round, and waits for it.
  // Throws: what the task throws; ApiError{503} while stopping, and Error{evaluation_failed} where
  // the engine has failed.
  void call(const std::function<void(TextEngine&)>& task);

  // From now on nothing is accepted; what is there goes on.
  void stop_accepting();
  // Ends everything before the next round, with Interruption::shutting_down.
  void end_all();
  // Returns: whether nothing was left before the time had come.
  [[nodiscard]] bool wait_until_idle(Clock::time_point until);

  [[nodiscard]] std::size_t n_texts() const;  // active and waiting
  [[nodiscard]] bool has_failed() const;
  // How long the engine's thread has been in the same round; zero between rounds.
  [[nodiscard]] Clock::duration time_in_round() const;

 private:
  class Forward;
  // A request that the engine's thread knows.
  struct Request {
    RequestHooks hooks;
    std::optional<Clock::time_point> deadline;
    std::vector<TextId> texts = {};  // also those that have ended
    std::deque<TextJob> held = {};   // not given to the engine yet
    std::size_t n_left = 0;          // texts that have not ended, held ones too
    bool is_ending = false;
    [[nodiscard]] std::size_t n_in_engine() const { return n_left - held.size(); }
  };
  struct Arrival {
    RequestId id{};
    std::vector<TextJob> jobs;
    RequestHooks hooks;
    std::optional<Clock::time_point> deadline;
  };
  // What other threads want of the engine's.
  struct Mail {
    std::vector<Arrival> arrivals;
    std::vector<RequestId> cancelled;
    std::vector<std::function<void()>> tasks;
    bool ends_all = false;
    bool quits = false;
    [[nodiscard]] bool empty() const {
      return arrivals.empty() && cancelled.empty() && tasks.empty() && !ends_all && !quits;
    }
  };

  void run();
  [[nodiscard]] Mail wait_for_mail();
  void start(Arrival arrival);
  // Gives the engine the texts that were held back and may begin now.
  void start_held();
  [[nodiscard]] std::optional<RequestId> next_to_start() const;
  void drop_held(RequestId id);
  // Throws: Error{evaluation_failed}; what make_engine throws.
  TextEngine& ready_engine();
  // Returns: whether the engine took it.
  bool start_text(RequestId id, TextJob job);
  void end(RequestId id, const std::function<void(const RequestHooks&)>& tell);
  void interrupt(RequestId id, Interruption reason);
  void end_overdue();
  void end_everything();
  void step();
  void make_round();
  void fail(const std::string& what);
  void lose(const Error& cause);
  void note_stopped(RequestId id);
  void on_texts_end(RequestId id, std::size_t n);

  // The engine's thread only.
  std::unique_ptr<TextEngine> engine_;
  const SchedulerOptions options_;
  std::map<RequestId, Request> requests_;
  bool has_work_ = false;
  std::optional<Error> loss_;  // of a machine, in this step

  mutable std::mutex mutex_;
  std::condition_variable has_mail_;
  std::condition_variable is_idle_;
  Mail mail_;
  std::size_t n_texts_ = 0;
  std::uint64_t last_id_ = 0;
  bool accepts_ = true;
  bool has_failed_ = false;
  std::optional<Clock::time_point> round_began_;  // of the round under way

  std::thread thread_;  // last: it uses the others
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_SERVICE_SCHEDULER_H_
