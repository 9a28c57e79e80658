// A seed for texts that were given none.
#ifndef GUMBELSPEC_APPS_COMMON_RANDOM_SEED_H_
#define GUMBELSPEC_APPS_COMMON_RANDOM_SEED_H_

#include <cstdint>
#include <random>

namespace gumbelspec::apps {

// Random bits, below 2^53: answers tell the seed as a JSON number, which many readers take for a
// double, and that holds every whole number up to there. Not fewer bits: of 32, a server would draw
// the same seed twice within some 80,000 requests.
[[nodiscard]] inline std::uint64_t random_seed() {
  std::random_device device;
  return ((std::uint64_t{device()} << 32U) | device()) & ((std::uint64_t{1} << 53U) - 1);
}

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_RANDOM_SEED_H_
