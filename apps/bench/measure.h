// Texts of several methods, generated in turns, so that what else the machine does falls on all.
#ifndef GUMBELSPEC_APPS_BENCH_MEASURE_H_
#define GUMBELSPEC_APPS_BENCH_MEASURE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "gumbelspec/method.h"
#include "gumbelspec/session.h"

namespace gumbelspec::apps::bench {

struct BenchText {
  Statistics statistics;
  std::vector<TokenId> tokens;                // generated ones
  std::optional<PlannerReport> planner = {};  // of a planned tree
};

// What is to be generated.
struct TextRequest {
  Method method;
  float temperature = 1.0F;
  std::size_t prompt = 0;  // index
  std::uint64_t seed = 0;
  std::size_t n_tokens = 0;
};
// Throws: Error; Stopped.
using GenerateText = std::function<BenchText(const TextRequest& request)>;

// Texts of all methods on the same prompts with the same seeds. Shape: [method][prompt]; all
// methods have the same prompts, also after a stop.
using RunTexts = std::vector<std::vector<BenchText>>;

struct RunRequest {
  std::span<const Method> methods;
  std::span<const std::size_t> prompts;  // indices
  float temperature = 1.0F;
  std::size_t run = 0;
  std::uint64_t seed = 1;
  std::size_t n_tokens = 64;
};

// The seed of a text: the same for all methods and temperatures.
[[nodiscard]] std::uint64_t text_seed(std::uint64_t seed, std::size_t run, std::size_t prompt);
// And back: the run of a text's seed.
[[nodiscard]] std::size_t text_run(std::uint64_t seed, std::size_t prompt, std::uint64_t of_text);

// Appends to `run`. The methods take turns on each prompt, and another one begins each time. On
// an exception `run` holds the prompts that all methods have done.
// on_text: called after each text.
void measure_run(const RunRequest& request, const GenerateText& generate,
                 const std::function<void()>& on_text, RunTexts& run);

// The two texts of one prompt and seed are not the same tokens.
[[nodiscard]] std::size_t n_different(std::span<const BenchText> texts,
                                      std::span<const BenchText> expected);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_MEASURE_H_
