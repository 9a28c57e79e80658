// Who uses the service, so that it can be taken away while nobody does, and is brought back for the
// next one who needs it. Private to http/.
#ifndef GUMBELSPEC_APPS_SERVER_HTTP_SERVICE_GATE_H_
#define GUMBELSPEC_APPS_SERVER_HTTP_SERVICE_GATE_H_

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "apps/server/service/service.h"

namespace gumbelspec::server {

// What is told of the service, also while it is away.
struct ShownModel {
  ApiModel model;  // without the model's own code: nothing is tokenized or compiled with it
  std::size_t n_active = 1;
};

// Threads: any.
class ServiceGate {
 public:
  // wake: brings the service back with open(), or throws; empty: it is never taken away.
  explicit ServiceGate(std::function<void()> wake) : wake_(std::move(wake)) {}
  ServiceGate(const ServiceGate&) = delete;
  ServiceGate& operator=(const ServiceGate&) = delete;

  // Lifetime: the service lives until close_after() has returned true, or the gate is gone.
  void open(Service& service);
  // Takes it away if nobody has used it for that long. Returns: whether it was there and is not
  // any more.
  bool close_after(Clock::duration idle);

  [[nodiscard]] bool is_asleep() const;
  // Throws: ApiError{503} while it has never been there.
  [[nodiscard]] std::shared_ptr<const ShownModel> shown() const;

  // Waits until nobody uses it, and takes it away; make brings another with open(), or throws,
  // which goes on to the caller. Who comes meanwhile waits. Requires: the caller is no user.
  // Throws: ApiError{503} while it has never been there.
  void replace(const std::function<void()>& make);

  // One more user. It is woken if it sleeps, by one of those who want it; the others wait.
  // Throws: ApiError{503} while it has never been there, and where waking fails.
  void enter();
  // One more user of a service that has one already.
  void enter_again();
  void leave();
  // The same, if it is there; it is not woken, and does not count as used.
  [[nodiscard]] bool enter_if_awake();
  void leave_unused();
  // Requires: a user.
  [[nodiscard]] Service& service() const;

 private:
  // Requires: the lock, which is given up meanwhile, and that nobody is at it.
  void bring(std::unique_lock<std::mutex>& lock, const std::function<void()>& make);

  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Service* service_ = nullptr;
  std::shared_ptr<const ShownModel> shown_;  // null: it has never been there
  std::size_t n_users_ = 0;
  Clock::time_point last_use_;
  bool is_changing_ = false;  // somebody brings it, or waits for its users to take it away
  std::string failure_;       // of the last time it was brought; empty: it worked
};

// A user of the service as long as it lives.
class ServiceUse {
 public:
  // Throws: as ServiceGate::enter().
  explicit ServiceUse(ServiceGate& gate) : gate_(gate) { gate_.enter(); }
  ~ServiceUse() { gate_.leave(); }
  ServiceUse(const ServiceUse&) = delete;
  ServiceUse& operator=(const ServiceUse&) = delete;

 private:
  ServiceGate& gate_;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_HTTP_SERVICE_GATE_H_
