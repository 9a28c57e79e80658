#ifndef GUMBELSPEC_ENGINE_STOPWATCH_H_
#define GUMBELSPEC_ENGINE_STOPWATCH_H_

#include <chrono>

namespace gumbelspec {

// Seconds since it was made. For statistics only: nothing in the text depends on a clock.
class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_STOPWATCH_H_
