// A TextEngine whose texts are chosen by the test: token i of a text is prompt[0] + i.
#ifndef GUMBELSPEC_TESTS_SERVER_SERVICE_FAKE_ENGINE_H_
#define GUMBELSPEC_TESTS_SERVER_SERVICE_FAKE_ENGINE_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "apps/server/service/text_engine.h"

namespace gumbelspec::testing {

// What the test and the engine's thread share.
class FakeEngineControl {
 public:
  // Rounds may go on until `n` more have been done; by default they are not held.
  void hold() {
    const std::lock_guard lock(mutex_);
    is_held_ = true;
    n_allowed_ = 0;
  }
  void allow(std::size_t n_rounds) {
    {
      const std::lock_guard lock(mutex_);
      n_allowed_ += n_rounds;
    }
    changed_.notify_all();
  }
  void release() {
    {
      const std::lock_guard lock(mutex_);
      is_held_ = false;
    }
    changed_.notify_all();
  }
  void break_engine() {
    const std::lock_guard lock(mutex_);
    is_broken_ = true;
  }
  // A machine that computes for it goes away; mend() brings it back.
  void lose_machine() {
    const std::lock_guard lock(mutex_);
    is_lost_ = true;
  }
  void mend() {
    const std::lock_guard lock(mutex_);
    is_lost_ = false;
  }
  [[nodiscard]] bool is_lost() const {
    const std::lock_guard lock(mutex_);
    return is_lost_;
  }
  // Waits until so many rounds have begun.
  void wait_for_rounds(std::size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return n_begun_ >= n; });
  }
  [[nodiscard]] std::size_t n_rounds() const {
    const std::lock_guard lock(mutex_);
    return n_begun_;
  }
  // Waits until so many texts have ended.
  void wait_for_ends(std::size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return n_ended_ >= n; });
  }
  // Rounds that had begun when the last text ended.
  [[nodiscard]] std::size_t rounds_at_end() const {
    const std::lock_guard lock(mutex_);
    return rounds_at_end_;
  }

 private:
  friend class FakeEngine;
  void begin_round() {
    std::unique_lock lock(mutex_);
    ++n_begun_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !is_held_ || n_allowed_ > 0; });
    if (is_held_) --n_allowed_;
    if (is_lost_) throw Error(ErrorCode::peer_lost, "machine 7 is gone");
    if (is_broken_) throw std::logic_error("broken on purpose");
  }
  void note_end() {
    {
      const std::lock_guard lock(mutex_);
      ++n_ended_;
      rounds_at_end_ = n_begun_;
    }
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool is_held_ = false;
  bool is_broken_ = false;
  bool is_lost_ = false;
  std::size_t n_allowed_ = 0;
  std::size_t n_begun_ = 0;
  std::size_t n_ended_ = 0;
  std::size_t rounds_at_end_ = 0;
};

class FakeEngine final : public server::TextEngine {
 public:
  FakeEngine(std::shared_ptr<FakeEngineControl> control, std::size_t n_active)
      : control_(std::move(control)), n_active_(n_active) {}

  // Refuses prompts that begin with token 13.
  TextId add(std::span<const TokenId> prompt, const TextOptions& options,
             std::unique_ptr<TextSink> sink) override {
    if (prompt[0] == token_id(13)) throw Error(ErrorCode::invalid_prompt, "token 13");
    const TextId id{++last_};
    waiting_.push_back({id, prompt[0], options.max_tokens, 0, prompt.size(), std::move(sink)});
    return id;
  }
  void cancel(TextId id) override {
    for (auto* texts : {&active_, &waiting_}) {
      for (auto text = texts->begin(); text != texts->end(); ++text) {
        if (text->id != id) continue;
        Text ended = std::move(*text);
        texts->erase(text);
        end(ended, Outcome::cancelled);
        return;
      }
    }
  }
  bool step() override {
    while (active_.size() < n_active_ && !waiting_.empty()) {
      active_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
      active_.back().sink->on_prompt(active_.back().n_prompt, active_.back().n_prompt, 0);
    }
    if (active_.empty()) return false;
    control_->begin_round();
    std::deque<Text> goes_on;
    for (Text& text : active_) {
      if (round(text)) goes_on.push_back(std::move(text));
    }
    active_ = std::move(goes_on);
    ++statistics_.n_rounds;
    statistics_.n_active = active_.size();
    statistics_.n_waiting = waiting_.size();
    return !active_.empty() || !waiting_.empty();
  }
  [[nodiscard]] const BatchStatistics& statistics() const override { return statistics_; }
  // Slots hold what was put there, at first their own number.
  SlotState save_slot(std::size_t slot) override {
    if (slots_.count(slot) == 0) slots_[slot] = {{token_id(slot)}, {1, 2, 3}};
    return slots_[slot];
  }
  void restore_slot(std::size_t slot, const SlotState& state) override { slots_[slot] = state; }
  std::size_t erase_slot(std::size_t slot) override {
    const std::size_t n = save_slot(slot).tokens.size();
    slots_[slot] = {};
    return n;
  }

 private:
  struct Text {
    TextId id{};
    TokenId first{};
    std::size_t max_tokens = 0;
    std::size_t n_generated = 0;
    std::size_t n_prompt = 0;
    std::unique_ptr<TextSink> sink;
  };

  // One token. Returns: whether there is more to come.
  bool round(Text& text) {
    if (text.max_tokens == 0) {
      end(text, Outcome::length);
      return false;
    }
    GeneratedToken token;
    token.token = token_id(index(text.first) + text.n_generated);
    const std::vector<GeneratedToken> tokens = {token};
    DraftTree tree;
    WalkResult walk;
    walk.path = {kRoot};
    walk.choices.resize(1);
    ++text.n_generated;
    ++statistics_.n_generated;
    const bool goes_on = text.sink->on_round({tokens, {}, {}, tree, walk});
    if (!goes_on) {
      end(text, Outcome::stop);
    } else if (text.n_generated == text.max_tokens) {
      end(text, Outcome::length);
    } else {
      return true;
    }
    return false;
  }
  void end(Text& text, Outcome outcome) {
    Statistics statistics;
    statistics.n_prompt = text.n_prompt;
    statistics.n_generated = text.n_generated;
    statistics.n_rounds = text.n_generated;
    statistics.n_target_passes = text.n_generated;
    control_->note_end();
    text.sink->on_end(outcome, statistics, nullptr);
  }

  std::shared_ptr<FakeEngineControl> control_;
  std::size_t n_active_;
  std::uint64_t last_ = 0;
  std::deque<Text> active_;
  std::deque<Text> waiting_;
  BatchStatistics statistics_;
  std::map<std::size_t, SlotState> slots_;
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_SERVER_SERVICE_FAKE_ENGINE_H_
