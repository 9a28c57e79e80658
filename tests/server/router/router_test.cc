// Which models are loaded, and for whom: with instances that do what the test says.
#include "apps/server/router/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "apps/server/api/api_error.h"

namespace gumbelspec::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

bool stays() { return false; }

// Instances that are ready at once unless they are held, and end when they are told to.
class Machine {
 public:
  Launch launch() {
    return [this](const ModelSource& source, InstanceEvents events) -> std::unique_ptr<Instance> {
      if (source.path == "unstartable") throw Error(ErrorCode::out_of_memory, "no more processes");
      const std::lock_guard lock(mutex_);
      started_.push_back(source.name);
      return std::make_unique<Fake>(*this, source, std::move(events));
    };
  }
  void hold(bool is_held = true) { is_held_ = is_held; }
  [[nodiscard]] std::vector<std::string> started() const {
    const std::lock_guard lock(mutex_);
    return started_;
  }
  [[nodiscard]] int most_at_once() const { return most_at_once_; }

 private:
  class Fake final : public Instance {
   public:
    Fake(Machine& machine, const ModelSource& source, InstanceEvents events)
        : machine_(machine),
          address_("at " + source.name),
          thread_([this, source, events] { run(source, events); }) {}
    ~Fake() override {
      stop();
      thread_.join();
    }
    [[nodiscard]] const std::string& address() const override { return address_; }
    void stop() override { is_stopped_ = true; }

   private:
    void run(const ModelSource& source, const InstanceEvents& events) {
      const int n = ++machine_.n_alive_;
      int most = machine_.most_at_once_;
      while (n > most && !machine_.most_at_once_.compare_exchange_weak(most, n)) {
      }
      while (machine_.is_held_ && !is_stopped_) std::this_thread::yield();
      if (source.path == "broken") {
        --machine_.n_alive_;
        return events.on_exit(2, "the file has gone");
      }
      if (!is_stopped_) events.on_ready();
      if (source.path == "sleeper") events.on_asleep();
      while (!is_stopped_) std::this_thread::yield();
      --machine_.n_alive_;
      events.on_exit(0, "");
    }

    Machine& machine_;
    const std::string address_;
    std::atomic<bool> is_stopped_{false};
    std::thread thread_;
  };

  mutable std::mutex mutex_;
  std::vector<std::string> started_;
  std::atomic<bool> is_held_{false};
  std::atomic<int> n_alive_{0};
  std::atomic<int> most_at_once_{0};
};

class RouterTest : public ::testing::Test {
 protected:
  void make(std::size_t max_loaded, std::vector<ModelSource> models = {{"a"}, {"b"}, {"c"}}) {
    router_.emplace(RouterOptions{max_loaded, true}, machine_.launch());
    router_->set_models(models, true);
  }
  [[nodiscard]] ModelStatus status(const std::string& name) const {
    for (const ModelStatus& status : router_->models()) {
      if (status.source.name == name) return status;
    }
    ADD_FAILURE() << "no model " << name;
    return {};
  }
  void wait_for(const std::string& name, ModelState state) const {
    while (status(name).state != state) std::this_thread::yield();
  }
  [[nodiscard]] std::unique_ptr<Router::Lease> lease(const std::string& name) {
    return router_->acquire(name, true, stays);
  }
  int status_of(const std::function<void()>& call) {
    try {
      call();
      return 200;
    } catch (const ApiError& error) {
      last_error_ = error.body();
      return error.status();
    }
  }

  Machine machine_;
  std::optional<Router> router_;
  std::string last_error_;
};

TEST_F(RouterTest, LoadsWhatIsAskedForOnce) {
  make(2);
  EXPECT_EQ(status("a").state, ModelState::unloaded);
  EXPECT_EQ(lease("a")->address(), "at a");
  EXPECT_EQ(lease("a")->address(), "at a");
  EXPECT_EQ(status("a").state, ModelState::loaded);
  EXPECT_EQ(status("a").address, "at a");
  EXPECT_THAT(machine_.started(), ElementsAre("a"));
  EXPECT_EQ(status_of([&] { (void)lease("x"); }), 404);
}

TEST_F(RouterTest, TheOneThatWasIdleLongestGoesForAnother) {
  make(2);
  (void)lease("a");
  (void)lease("b");
  (void)lease("a");
  EXPECT_EQ(lease("c")->address(), "at c");
  EXPECT_EQ(status("a").state, ModelState::loaded);
  EXPECT_EQ(status("b").state, ModelState::unloaded);
  EXPECT_FALSE(status("b").has_failed);
  EXPECT_EQ(machine_.most_at_once(), 2);
}

TEST_F(RouterTest, ABusyModelStaysAndTheQueueIsServedInItsOrder) {
  make(1);
  auto busy = lease("a");
  std::mutex mutex;
  std::vector<std::string> order;
  std::vector<std::thread> threads;
  for (const char* name : {"b", "c"}) {
    threads.emplace_back([&, name] {
      const auto mine = lease(name);
      const std::lock_guard lock(mutex);
      order.emplace_back(name);
    });
  }
  EXPECT_THAT(machine_.started(), ElementsAre("a"));
  EXPECT_EQ(status("a").state, ModelState::loaded);
  busy.reset();
  for (std::thread& thread : threads) thread.join();
  const std::vector<std::string> started = machine_.started();
  ASSERT_EQ(started.size(), 3U);
  EXPECT_THAT(order, ElementsAre(started[1], started[2]));
  EXPECT_EQ(machine_.most_at_once(), 1);
}

TEST_F(RouterTest, ManyWhoWaitForOneModelCostOneOther) {
  make(2);
  auto busy = lease("a");
  (void)lease("b");
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { (void)lease("c"); });
  for (std::thread& thread : threads) thread.join();
  busy.reset();
  EXPECT_EQ(status("a").state, ModelState::loaded);
  EXPECT_EQ(status("b").state, ModelState::unloaded);
  EXPECT_THAT(machine_.started(), ElementsAre("a", "b", "c"));
}

TEST_F(RouterTest, AClientThatHasGoneCostsNobodyAPlace) {
  make(1);
  auto busy = lease("a");
  EXPECT_EQ(status_of([&] { (void)router_->acquire("b", true, [] { return true; }); }), 499);
  busy.reset();
  // Somebody else's turn has come and gone.
  EXPECT_EQ(status_of([&] { router_->load("x"); }), 404);
  (void)lease("a");
  EXPECT_THAT(machine_.started(), ElementsAre("a"));
}

TEST_F(RouterTest, LoadsAndUnloadsWhenTold) {
  make(1, {{"a"}, {"b", "", {}, true}});
  wait_for("b", ModelState::loaded);
  EXPECT_EQ(status_of([&] { router_->load("b"); }), 400);
  EXPECT_EQ(status_of([&] { router_->unload("a"); }), 400);
  EXPECT_EQ(status_of([&] { (void)router_->acquire("a", false, stays); }), 400);
  EXPECT_THAT(last_error_, HasSubstr("/models/load"));
  router_->load("a");
  wait_for("a", ModelState::loaded);
  EXPECT_EQ(router_->acquire("a", false, stays)->address(), "at a");
  EXPECT_EQ(status("b").state, ModelState::unloaded) << "there was room for one";
  router_->unload("a");
  wait_for("a", ModelState::unloaded);
  EXPECT_FALSE(status("a").has_failed);
}

TEST_F(RouterTest, TellsWhyAModelCannotBeLoaded) {
  make(1, {{"a", "broken"}, {"b", "unstartable"}, {"c"}});
  EXPECT_EQ(status_of([&] { (void)lease("a"); }), 500);
  EXPECT_THAT(last_error_, HasSubstr("the file has gone"));
  EXPECT_TRUE(status("a").has_failed);
  EXPECT_EQ(status("a").exit_code, 2);
  EXPECT_EQ(status_of([&] { (void)lease("b"); }), 500);
  EXPECT_THAT(last_error_, HasSubstr("no more processes"));
  EXPECT_EQ(lease("c")->address(), "at c") << "they keep no place";
  EXPECT_EQ(status_of([&] { (void)lease("a"); }), 500) << "and are tried again";
}

TEST_F(RouterTest, SleepersAreThere) {
  make(1, {{"a", "sleeper"}, {"b"}});
  router_->load("a");
  wait_for("a", ModelState::sleeping);
  EXPECT_EQ(lease("a")->address(), "at a");
  EXPECT_THAT(machine_.started(), ElementsAre("a"));
  EXPECT_EQ(lease("b")->address(), "at b") << "and go like others";
}

TEST_F(RouterTest, ModelsComeGoAndChange) {
  make(3);
  auto in_use = lease("a");
  (void)lease("b");
  (void)lease("c");
  router_->set_models({{"b"}, {"c", "", {"--other"}}, {"d"}});
  std::vector<std::string> names;
  for (const ModelStatus& status : router_->models()) names.push_back(status.source.name);
  EXPECT_THAT(names, ElementsAre("b", "c", "d"));
  EXPECT_EQ(status("b").state, ModelState::loaded) << "it is the same";
  wait_for("c", ModelState::unloaded);
  EXPECT_EQ(status_of([&] { (void)lease("a"); }), 404);
  in_use.reset();  // of one that is not there any more
  EXPECT_EQ(lease("d")->address(), "at d");
}

TEST_F(RouterTest, WhoWaitsIsToldWhenItEnds) {
  machine_.hold();
  make(1);
  std::atomic<int> status{0};
  std::thread waiting([&] { status = status_of([&] { (void)lease("a"); }); });
  while (machine_.started().empty()) std::this_thread::yield();
  router_->stop_accepting();
  waiting.join();
  EXPECT_EQ(status, 503);
  EXPECT_EQ(status_of([&] { router_->load("b"); }), 503);
  router_.reset();  // while it is loading
}

// Whatever comes when: never more than there is room for, and everybody is served.
TEST_F(RouterTest, ManyThreadsAreAllServed) {
  make(2);
  std::atomic<int> n_served{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 20; ++k) {
        const std::string name(1, static_cast<char>('a' + (i + k * k) % 3));
        n_served += lease(name)->address() == "at " + name ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_served, 120);
  EXPECT_LE(machine_.most_at_once(), 2);
}

}  // namespace
}  // namespace gumbelspec::server
