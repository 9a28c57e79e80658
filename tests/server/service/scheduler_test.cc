#include "apps/server/service/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/server/service/fake_engine.h"

namespace gumbelspec::server {
namespace {

using ::testing::ElementsAre;
using testing::FakeEngine;
using testing::FakeEngineControl;
using ::testing::IsEmpty;

// What one request came to, seen from the test's thread.
class Witness {
 public:
  struct Sink final : TextSink {
    explicit Sink(Witness& w) : witness(w) {}
    bool on_round(const BatchRound& round) override {
      const std::lock_guard lock(witness.mutex_);
      for (const GeneratedToken& t : round.tokens) witness.tokens_.push_back(t.token);
      return witness.tokens_.size() < witness.enough_;
    }
    void on_end(Outcome outcome, const Statistics& /*statistics*/, const Error* error) override {
      const std::lock_guard lock(witness.mutex_);
      witness.outcomes_.push_back(outcome);
      if (error != nullptr) witness.error_ = error->what();
    }
    Witness& witness;
  };

  RequestHooks hooks() {
    RequestHooks hooks;
    hooks.on_interrupted = [this](Interruption reason) {
      const std::lock_guard lock(mutex_);
      reasons_.push_back(reason);
    };
    hooks.on_refused = [this](const Error& error) {
      const std::lock_guard lock(mutex_);
      refusals_.emplace_back(error.what());
    };
    hooks.on_done = [this] {
      const std::lock_guard lock(mutex_);
      ++n_done_;
      changed_.notify_all();
    };
    return hooks;
  }
  TextJob job(std::size_t first_token, std::size_t max_tokens = 5) {
    TextOptions options;
    options.max_tokens = max_tokens;
    return {{token_id(first_token)}, options, std::make_unique<Sink>(*this)};
  }
  std::vector<TextJob> jobs(std::size_t n, std::size_t max_tokens = 5) {
    std::vector<TextJob> all;
    for (std::size_t i = 0; i < n; ++i) all.push_back(job(100, max_tokens));
    return all;
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return n_done_ > 0; });
  }
  void stop_after(std::size_t n_tokens) { enough_ = n_tokens; }

  // Requires: wait() has returned.
  [[nodiscard]] const std::vector<TokenId>& tokens() const { return tokens_; }
  [[nodiscard]] const std::vector<Outcome>& outcomes() const { return outcomes_; }
  [[nodiscard]] const std::vector<Interruption>& reasons() const { return reasons_; }
  [[nodiscard]] const std::vector<std::string>& refusals() const { return refusals_; }
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] int n_done() const { return n_done_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TokenId> tokens_;
  std::vector<Outcome> outcomes_;
  std::vector<Interruption> reasons_;
  std::vector<std::string> refusals_;
  std::string error_;
  std::size_t enough_ = 1000000;
  int n_done_ = 0;
};

class SchedulerTest : public ::testing::Test {
 protected:
  void start(std::size_t n_active, std::size_t n_waiting) {
    scheduler_.emplace(std::make_unique<FakeEngine>(control_, n_active),
                       SchedulerOptions{.n_active = n_active, .n_waiting = n_waiting});
  }
  Admission add(Witness& witness, std::vector<TextJob> jobs,
                std::optional<Clock::time_point> deadline = {}) {
    const auto added = scheduler_->add(std::move(jobs), witness.hooks(), deadline);
    last_ = added.id;
    return added.admission;
  }
  bool is_idle() { return scheduler_->wait_until_idle(Clock::now() + std::chrono::minutes(1)); }

  std::shared_ptr<FakeEngineControl> control_ = std::make_shared<FakeEngineControl>();
  Witness a_;
  Witness b_;
  Witness c_;
  std::optional<Scheduler> scheduler_;  // ends before what its sinks use
  RequestId last_{};
};

TEST_F(SchedulerTest, RunsATextToItsEnd) {
  start(1, 0);
  std::vector<TextJob> jobs;
  jobs.push_back(a_.job(7, 3));
  ASSERT_EQ(add(a_, std::move(jobs)), Admission::accepted);
  a_.wait();
  EXPECT_THAT(a_.tokens(), ElementsAre(token_id(7), token_id(8), token_id(9)));
  EXPECT_THAT(a_.outcomes(), ElementsAre(Outcome::length));
  EXPECT_THAT(a_.reasons(), IsEmpty());
  EXPECT_TRUE(is_idle());
}

TEST_F(SchedulerTest, TellsTheEndOfARequestOnceWhenAllItsTextsHaveEnded) {
  start(2, 2);
  ASSERT_EQ(add(a_, a_.jobs(4)), Admission::accepted);
  a_.wait();
  ASSERT_TRUE(is_idle());
  EXPECT_EQ(a_.outcomes().size(), 4U);
  EXPECT_EQ(a_.n_done(), 1);
}

TEST_F(SchedulerTest, EndsATextWhoseSinkHasHadEnough) {
  start(1, 0);
  a_.stop_after(2);
  ASSERT_EQ(add(a_, a_.jobs(1, 1000)), Admission::accepted);
  a_.wait();
  EXPECT_EQ(a_.tokens().size(), 2U);
  EXPECT_THAT(a_.outcomes(), ElementsAre(Outcome::stop));
}

TEST_F(SchedulerTest, RefusesWhatDoesNotFitIntoTheQueue) {
  control_->hold();
  start(1, 1);
  EXPECT_EQ(add(a_, a_.jobs(1)), Admission::accepted);
  EXPECT_EQ(add(b_, b_.jobs(2)), Admission::queue_full);
  EXPECT_EQ(add(b_, b_.jobs(1)), Admission::accepted);
  EXPECT_EQ(add(c_, c_.jobs(1)), Admission::queue_full);
  EXPECT_EQ(scheduler_->n_texts(), 2U);
  control_->release();
  ASSERT_TRUE(is_idle());
  EXPECT_EQ(add(c_, c_.jobs(1)), Admission::accepted);
  c_.wait();
}

TEST_F(SchedulerTest, TakesALargeRequestWhenNothingElseIsThere) {
  start(1, 1);
  EXPECT_EQ(add(a_, a_.jobs(5)), Admission::accepted);
  a_.wait();
  EXPECT_EQ(a_.outcomes().size(), 5U);
}

TEST_F(SchedulerTest, CancelFreesTheSlotBeforeTheNextRound) {
  control_->hold();
  start(1, 1);
  ASSERT_EQ(add(a_, a_.jobs(1, 1000000)), Admission::accepted);
  const RequestId first = last_;
  ASSERT_EQ(add(b_, b_.jobs(1, 1)), Admission::accepted);
  control_->wait_for_rounds(1);
  scheduler_->cancel(first);
  // The round under way ends, a's text before the next one.
  control_->allow(1);
  a_.wait();
  EXPECT_EQ(control_->rounds_at_end(), 1U);
  control_->release();
  b_.wait();
  EXPECT_THAT(a_.outcomes(), ElementsAre(Outcome::cancelled));
  EXPECT_THAT(a_.reasons(), ElementsAre(Interruption::cancelled));
  EXPECT_THAT(b_.outcomes(), ElementsAre(Outcome::length));
}

TEST_F(SchedulerTest, IgnoresTheCancellationOfWhatHasEnded) {
  start(1, 0);
  ASSERT_EQ(add(a_, a_.jobs(1)), Admission::accepted);
  a_.wait();
  ASSERT_TRUE(is_idle());
  scheduler_->cancel(last_);
  scheduler_->cancel(RequestId{999});
  ASSERT_EQ(add(b_, b_.jobs(1)), Admission::accepted);
  b_.wait();
  EXPECT_EQ(a_.n_done(), 1);
  EXPECT_THAT(a_.reasons(), IsEmpty());
}

TEST_F(SchedulerTest, EndsARequestAtItsDeadline) {
  start(1, 0);
  ASSERT_EQ(add(a_, a_.jobs(1, 1000000), Clock::now()), Admission::accepted);
  a_.wait();
  EXPECT_THAT(a_.outcomes(), ElementsAre(Outcome::cancelled));
  EXPECT_THAT(a_.reasons(), ElementsAre(Interruption::timed_out));
}

// A request whose texts would fill all places.
TEST_F(SchedulerTest, ARequestLeavesAPlaceToOthers) {
  start(3, 64);
  ASSERT_EQ(add(a_, a_.jobs(16, 1'000'000'000'000)), Admission::accepted);
  const RequestId large = last_;
  ASSERT_EQ(add(b_, b_.jobs(1)), Admission::accepted);
  b_.wait();
  EXPECT_THAT(b_.outcomes(), ElementsAre(Outcome::length));
  EXPECT_GE(scheduler_->n_texts(), 16U) << "and those of the other one go on";
  scheduler_->cancel(large);
  a_.wait();
  EXPECT_EQ(a_.outcomes(), std::vector<Outcome>(16, Outcome::cancelled));
  ASSERT_TRUE(is_idle());
  ASSERT_EQ(add(c_, c_.jobs(7)), Admission::accepted);
  c_.wait();
  EXPECT_EQ(c_.outcomes(), std::vector<Outcome>(7, Outcome::length));
}

// A second one's first text would take the place that the first one leaves.
TEST_F(SchedulerTest, SeveralRequestsOfManyTextsLeaveAPlaceToOthersTogether) {
  start(3, 64);
  ASSERT_EQ(add(a_, a_.jobs(16, 1'000'000'000'000)), Admission::accepted);
  const RequestId first = last_;
  ASSERT_EQ(add(b_, b_.jobs(16, 1'000'000'000'000)), Admission::accepted);
  const RequestId second = last_;
  for (int i = 0; i < 3; ++i) {
    Witness single;
    ASSERT_EQ(add(single, single.jobs(1)), Admission::accepted);
    single.wait();
    EXPECT_THAT(single.outcomes(), ElementsAre(Outcome::length));
  }
  scheduler_->cancel(first);
  a_.wait();
  scheduler_->cancel(second);
  b_.wait();
  ASSERT_TRUE(is_idle());
}

TEST_F(SchedulerTest, TakesRequestsOfManyTextsWithOnePlaceOnly) {
  start(1, 64);
  ASSERT_EQ(add(a_, a_.jobs(3)), Admission::accepted);
  ASSERT_EQ(add(b_, b_.jobs(2)), Admission::accepted);
  ASSERT_EQ(add(c_, c_.jobs(1)), Admission::accepted);
  for (auto* client : {&a_, &b_, &c_}) client->wait();
  EXPECT_EQ(a_.outcomes(), std::vector<Outcome>(3, Outcome::length));
  EXPECT_EQ(b_.outcomes(), std::vector<Outcome>(2, Outcome::length));
}

TEST_F(SchedulerTest, TellsWhatTheEngineRefuses) {
  start(3, 2);
  std::vector<TextJob> jobs;
  jobs.push_back(a_.job(7, 1000000));
  jobs.push_back(a_.job(13));
  jobs.push_back(a_.job(8));
  ASSERT_EQ(add(a_, std::move(jobs)), Admission::accepted);
  a_.wait();
  EXPECT_THAT(a_.refusals(), ElementsAre("token 13"));
  // The first one was taken already, the last one was waiting.
  EXPECT_THAT(a_.outcomes(), ElementsAre(Outcome::cancelled, Outcome::cancelled));
  EXPECT_EQ(a_.n_done(), 1);
  EXPECT_TRUE(is_idle());
}

TEST_F(SchedulerTest, LetsRunningRequestsFinishWhileItStops) {
  control_->hold();
  start(1, 1);
  ASSERT_EQ(add(a_, a_.jobs(1)), Admission::accepted);
  scheduler_->stop_accepting();
  EXPECT_EQ(add(b_, b_.jobs(1)), Admission::stopping);
  control_->release();
  a_.wait();
  EXPECT_THAT(a_.outcomes(), ElementsAre(Outcome::length));
}

TEST_F(SchedulerTest, EndAllEndsWhatIsActiveAndWhatWaits) {
  control_->hold();
  start(1, 1);
  ASSERT_EQ(add(a_, a_.jobs(1, 1000000)), Admission::accepted);
  ASSERT_EQ(add(b_, b_.jobs(1, 1000000)), Admission::accepted);
  control_->wait_for_rounds(1);
  scheduler_->end_all();
  control_->release();
  EXPECT_TRUE(is_idle());
  for (const Witness* witness : {&a_, &b_}) {
    EXPECT_THAT(witness->reasons(), ElementsAre(Interruption::shutting_down));
    EXPECT_THAT(witness->outcomes(), ElementsAre(Outcome::cancelled));
  }
}

TEST_F(SchedulerTest, WaitsForIdlenessNoLongerThanAsked) {
  control_->hold();
  start(1, 0);
  ASSERT_EQ(add(a_, a_.jobs(1, 1000000)), Admission::accepted);
  EXPECT_FALSE(scheduler_->wait_until_idle(Clock::now()));
  scheduler_->end_all();
  control_->release();
}

TEST_F(SchedulerTest, DestructionTellsEveryTextItsEnd) {
  start(1, 3);
  ASSERT_EQ(add(a_, a_.jobs(2, 1000000)), Admission::accepted);
  ASSERT_EQ(add(b_, b_.jobs(1, 1000000)), Admission::accepted);
  scheduler_.reset();
  EXPECT_EQ(a_.outcomes().size(), 2U);
  EXPECT_EQ(b_.outcomes().size(), 1U);
  EXPECT_EQ(a_.n_done() + b_.n_done(), 2);
}

TEST_F(SchedulerTest, ALostMachineEndsItsTextsAndIsUsedAgainWhenItIsBack) {
  control_->hold();
  int n_losses = 0;
  SchedulerOptions options{.n_active = 1, .n_waiting = 2};
  options.make_engine = [this]() -> std::unique_ptr<TextEngine> {
    if (control_->is_lost()) throw Error(ErrorCode::peer_lost, "machine 7 is still gone");
    return std::make_unique<FakeEngine>(control_, 1);
  };
  options.on_loss = [&n_losses](const std::string& /*what*/) { ++n_losses; };
  scheduler_.emplace(std::make_unique<FakeEngine>(control_, 1), options);
  ASSERT_EQ(add(a_, a_.jobs(2, 1000000)), Admission::accepted);
  control_->lose_machine();
  control_->release();
  a_.wait();
  EXPECT_THAT(a_.refusals(), ElementsAre("machine 7 is gone"));
  EXPECT_THAT(a_.outcomes(), ElementsAre(Outcome::cancelled, Outcome::cancelled));
  ASSERT_EQ(add(b_, b_.jobs(1)), Admission::accepted);
  b_.wait();
  EXPECT_THAT(b_.refusals(), ElementsAre("machine 7 is still gone"));
  control_->mend();
  std::vector<TextJob> jobs;
  jobs.push_back(c_.job(7, 3));
  ASSERT_EQ(add(c_, std::move(jobs)), Admission::accepted);
  c_.wait();
  EXPECT_THAT(c_.tokens(), ElementsAre(token_id(7), token_id(8), token_id(9)));
  EXPECT_THAT(c_.refusals(), IsEmpty());
  EXPECT_FALSE(scheduler_->has_failed());
  EXPECT_TRUE(is_idle());
  EXPECT_EQ(n_losses, 1);
}

// What /health tells of an engine that does not come back.
TEST_F(SchedulerTest, TellsHowLongARoundTakes) {
  control_->hold();
  start(1, 1);
  EXPECT_EQ(scheduler_->time_in_round(), Clock::duration::zero());
  ASSERT_EQ(add(a_, a_.jobs(1, 3)), Admission::accepted);
  while (scheduler_->time_in_round() == Clock::duration::zero()) std::this_thread::yield();
  const auto before = scheduler_->time_in_round();
  EXPECT_GE(scheduler_->time_in_round(), before) << "it is the same round still";
  control_->release();
  a_.wait();
  EXPECT_TRUE(is_idle());
  while (scheduler_->time_in_round() != Clock::duration::zero()) std::this_thread::yield();
}

TEST_F(SchedulerTest, ABrokenEngineEndsEverythingAndIsNotUsedAgain) {
  control_->hold();
  start(1, 1);
  ASSERT_EQ(add(a_, a_.jobs(1, 1000000)), Admission::accepted);
  ASSERT_EQ(add(b_, b_.jobs(1, 1000000)), Admission::accepted);
  control_->break_engine();
  control_->release();
  a_.wait();
  b_.wait();
  EXPECT_THAT(a_.outcomes(), ElementsAre(Outcome::cancelled));
  EXPECT_NE(a_.error(), "");
  EXPECT_TRUE(scheduler_->has_failed());
  EXPECT_EQ(add(c_, c_.jobs(1)), Admission::failed);
}

}  // namespace
}  // namespace gumbelspec::server
