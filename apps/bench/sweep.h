// Finding a method's best shape with few texts: successive halving.
#ifndef GUMBELSPEC_APPS_BENCH_SWEEP_H_
#define GUMBELSPEC_APPS_BENCH_SWEEP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "apps/bench/measure.h"

namespace gumbelspec::apps::bench {

struct SweepRequest {
  std::span<const Method> shapes;        // of one method
  std::span<const std::size_t> prompts;  // indices; others than those that are reported on
  float temperature = 1.0F;
  std::uint64_t seed = 1;
  std::size_t n_tokens = 32;
  std::size_t n_first_texts = 1;  // of each shape, before the first half goes
};

// The index of the shape with the most tokens per second. All shapes generate n_first_texts texts,
// the better half as many again, the better half of these twice as many, then four times and so on,
// until one is left;
// what counts is the speed over all texts so far, on which those that are left are compared with
// the same prompts and seeds.
// Requires: at least one shape and one prompt. Throws: what generate throws.
[[nodiscard]] std::size_t best_shape(const SweepRequest& request, const GenerateText& generate,
                                     const std::function<void()>& on_text);

// Texts that best_shape() generates.
[[nodiscard]] std::size_t n_sweep_texts(std::size_t n_shapes, std::size_t n_first_texts = 1);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_SWEEP_H_
