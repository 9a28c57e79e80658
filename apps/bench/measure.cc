#include "apps/bench/measure.h"

#include <algorithm>

namespace gumbelspec::apps::bench {
namespace {

// So many prompts of a run have seeds of their own.
constexpr std::uint64_t kSeedsPerRun = 1000;

// Puts every method back to the number of texts that it had, whatever ends the turn.
class Turn {
 public:
  explicit Turn(RunTexts& run) : run_(run), n_(run.empty() ? 0 : run[0].size()) {}
  ~Turn() {
    for (std::vector<BenchText>& texts : run_) texts.resize(n_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  void complete() { ++n_; }

 private:
  RunTexts& run_;
  std::size_t n_;
};

}  // namespace

std::uint64_t text_seed(std::uint64_t seed, std::size_t run, std::size_t prompt) {
  return seed + kSeedsPerRun * run + prompt;
}

std::size_t text_run(std::uint64_t seed, std::size_t prompt, std::uint64_t of_text) {
  return static_cast<std::size_t>((of_text - seed - prompt) / kSeedsPerRun);
}

void measure_run(const RunRequest& request, const GenerateText& generate,
                 const std::function<void()>& on_text, RunTexts& run) {
  const std::size_t n_methods = request.methods.size();
  run.resize(n_methods);
  for (std::size_t i = 0; i < request.prompts.size(); ++i) {
    const std::size_t prompt = request.prompts[i];
    Turn turn(run);
    for (std::size_t k = 0; k < n_methods; ++k) {
      const std::size_t m = (k + i + request.run) % n_methods;
      run[m].push_back(generate({request.methods[m], request.temperature, prompt,
                                 text_seed(request.seed, request.run, prompt), request.n_tokens}));
      on_text();
    }
    turn.complete();
  }
}

std::size_t n_different(std::span<const BenchText> texts, std::span<const BenchText> expected) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < std::min(texts.size(), expected.size()); ++i) {
    if (texts[i].tokens != expected[i].tokens) ++n;
  }
  return n;
}

}  // namespace gumbelspec::apps::bench
