#ifndef GUMBELSPEC_ENGINE_STOPWATCH_H_
#define GUMBELSPEC_ENGINE_STOPWATCH_H_

#include <chrono>
#include <functional>
#include <utility>

namespace gumbelspec {

// Seconds since some moment; the steady clock unless another one is given. For statistics and plans
// only: nothing in the text depends on a clock.
class Clock {
 public:
  Clock() = default;
  explicit Clock(std::function<double()> seconds) : seconds_(std::move(seconds)) {}

  [[nodiscard]] double seconds() const {
    if (seconds_) return seconds_();
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

 private:
  std::function<double()> seconds_;
};

// Seconds since it was made.
class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// The same by a given clock. Lifetime: the clock outlives it.
class ClockWatch {
 public:
  explicit ClockWatch(const Clock& clock) : clock_(clock), start_(clock.seconds()) {}
  [[nodiscard]] double seconds() const { return clock_.seconds() - start_; }

 private:
  const Clock& clock_;
  double start_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_STOPWATCH_H_
