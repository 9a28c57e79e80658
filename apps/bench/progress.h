// How far a benchmark is, with an estimate of the time left.
#ifndef GUMBELSPEC_APPS_BENCH_PROGRESS_H_
#define GUMBELSPEC_APPS_BENCH_PROGRESS_H_

#include <chrono>
#include <cstddef>
#include <string>

#include "apps/common/output.h"

namespace gumbelspec::apps::bench {

// "12 of 80 texts, about 2 min left". The texts are taken to be equally long; those done so far
// took `seconds`.
[[nodiscard]] std::string estimate_text(std::size_t n_done, std::size_t n_all, double seconds);

class BenchProgress {
 public:
  BenchProgress(Progress& line, std::size_t n_all) : line_(line), n_all_(n_all) {}

  void begin(const std::string& what) { what_ = what; }
  void count() {
    ++n_done_;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin_;
    line_.show(what_ + ": " + estimate_text(n_done_, n_all_, passed.count()));
  }

 private:
  Progress& line_;
  std::string what_;
  std::size_t n_all_;
  std::size_t n_done_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_PROGRESS_H_
