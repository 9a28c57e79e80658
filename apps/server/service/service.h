// What the endpoints do, without HTTP: requests in, answers out, the engine's thread in between.
#ifndef GUMBELSPEC_APPS_SERVER_SERVICE_SERVICE_H_
#define GUMBELSPEC_APPS_SERVER_SERVICE_SERVICE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "apps/common/random_seed.h"
#include "apps/server/api/api_model.h"
#include "apps/server/api/request.h"
#include "apps/server/service/metrics.h"
#include "apps/server/service/response_channel.h"
#include "apps/server/service/scheduler.h"
#include "apps/server/service/slot_files.h"

namespace gumbelspec::server {

struct ServiceOptions {
  std::size_t n_active = 1;
  std::size_t n_waiting = 64;
  std::size_t max_event_bytes = std::size_t{1} << 20U;  // that a client has not read yet
  std::chrono::seconds request_timeout{0};              // 0: none
  std::string slot_folder = {};                         // where slots are saved; empty: nowhere
  // What the model computes with besides its file (adapters and their scales): slots of another are
  // refused.
  std::string adapters = {};
  std::function<std::uint64_t()> draw_seed = apps::random_seed;
  // The engine has broken. From its thread; empty: nobody wants to know.
  std::function<void(const std::string&)> on_failure = {};
  // See SchedulerOptions.
  std::function<std::unique_ptr<TextEngine>()> make_engine = {};
  std::function<void(const std::string&)> on_loss = {};
};

// A completion under way, as its connection sees it.
class Exchange {
 public:
  Exchange(Scheduler& scheduler, std::size_t max_event_bytes)
      : scheduler_(scheduler), channel_(max_event_bytes) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  [[nodiscard]] ResponseChannel& channel() { return channel_; }
  // The client has gone: its texts end before the next round.
  void cancel();
  // From the arrival to the first token, of whichever text was first; none: there is none.
  // Requires: the channel is finished.
  [[nodiscard]] std::optional<double> first_token_s() const { return first_token_s_; }
  [[nodiscard]] Clock::time_point arrival() const { return arrival_; }

 private:
  friend class Service;
  void observe(std::size_t text, std::size_t n_tokens, Metrics& metrics);

  Scheduler& scheduler_;
  ResponseChannel channel_;
  RequestId id_{};
  Clock::time_point arrival_ = Clock::now();
  // The engine's thread.
  std::map<std::size_t, Clock::time_point> last_tokens_;  // of each text that has any
  std::optional<double> first_token_s_;
};

// Threads: any, but for the destructor.
class Service {
 public:
  // Lifetime: the models behind model and engine, and metrics, outlive the service.
  Service(ApiModel model, std::unique_ptr<TextEngine> engine, ServiceOptions options,
          Metrics& metrics);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  [[nodiscard]] const ApiModel& model() const { return model_; }
  [[nodiscard]] std::size_t n_active() const { return options_.n_active; }

  // Reads the request and hands it to the engine.
  // Throws: ApiError; 429 where the queue is full, 503 while shutting down.
  // wrap: what becomes of the answer on its way; empty: it stays as it is.
  using Wrap = std::function<AnswerOutput(AnswerOutput)>;
  [[nodiscard]] std::shared_ptr<Exchange> complete(Endpoint endpoint, std::string_view body,
                                                   const Wrap& wrap = {});

  // POST /slots/{id}?action=save, restore or erase; the body names the file.
  // Returns: JSON. Throws: ApiError.
  [[nodiscard]] std::string act_on_slot(const std::string& id, const std::string& action,
                                        std::string_view body);

  // See Scheduler.
  [[nodiscard]] Scheduler& scheduler() { return scheduler_; }

 private:
  [[nodiscard]] ApiError refusal(Admission admission) const;

  const ApiModel model_;
  const ServiceOptions options_;
  const SlotFiles slot_files_;
  Metrics& metrics_;
  Scheduler scheduler_;  // last: its thread uses the others
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_SERVICE_SERVICE_H_
