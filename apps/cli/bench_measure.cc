#include "apps/cli/bench_measure.h"

#include <algorithm>

namespace gumbelspec::cli {
namespace {

// So many prompts of a run have seeds of their own.
constexpr std::uint64_t kSeedsPerRun = 1000;

// Puts every method back to the number of texts that it had, whatever ends the turn.
class Turn {
 public:
  explicit Turn(Batch& batch) : batch_(batch), n_(batch.empty() ? 0 : batch[0].size()) {}
  ~Turn() {
    for (std::vector<BenchText>& texts : batch_) texts.resize(n_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  void complete() { ++n_; }

 private:
  Batch& batch_;
  std::size_t n_;
};

}  // namespace

std::uint64_t text_seed(std::uint64_t seed, std::size_t run, std::size_t prompt) {
  return seed + kSeedsPerRun * run + prompt;
}

std::size_t text_run(std::uint64_t seed, std::size_t prompt, std::uint64_t of_text) {
  return static_cast<std::size_t>((of_text - seed - prompt) / kSeedsPerRun);
}

void measure_batch(const BatchRequest& request, const GenerateText& generate,
                   const std::function<void()>& on_text, Batch& batch) {
  const std::size_t n_methods = request.methods.size();
  batch.resize(n_methods);
  for (std::size_t i = 0; i < request.prompts.size(); ++i) {
    const std::size_t prompt = request.prompts[i];
    Turn turn(batch);
    for (std::size_t k = 0; k < n_methods; ++k) {
      const std::size_t m = (k + i + request.run) % n_methods;
      batch[m].push_back(
          generate({request.methods[m], request.temperature, prompt,
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

}  // namespace gumbelspec::cli
