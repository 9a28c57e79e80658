#include "apps/bench/sweep.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace gumbelspec::apps::bench {
namespace {

// Texts per shape of a rung: 1, 1, 2, 4, ...
std::size_t n_texts_of_rung(std::size_t rung) {
  return rung == 0 ? 1 : std::size_t{1} << (rung - 1);
}

struct Speed {
  double tokens = 0.0;
  double seconds = 0.0;
  [[nodiscard]] double value() const { return seconds > 0.0 ? tokens / seconds : 0.0; }
};

}  // namespace

std::size_t n_sweep_texts(std::size_t n_shapes, std::size_t n_first_texts) {
  std::size_t n = 0;
  for (std::size_t rung = 0; n_shapes > 1; ++rung, n_shapes = (n_shapes + 1) / 2) {
    n += n_shapes * n_texts_of_rung(rung) * n_first_texts;
  }
  return n;
}

std::size_t best_shape(const SweepRequest& request, const GenerateText& generate,
                       const std::function<void()>& on_text) {
  std::vector<std::size_t> left(request.shapes.size());
  std::iota(left.begin(), left.end(), std::size_t{0});
  std::vector<Speed> speeds(request.shapes.size());
  std::size_t n_done = 0;
  for (std::size_t rung = 0; left.size() > 1; ++rung) {
    std::vector<Method> methods;
    methods.reserve(left.size());
    for (const std::size_t i : left) methods.push_back(request.shapes[i]);
    for (std::size_t t = 0; t < n_texts_of_rung(rung) * request.n_first_texts; ++t, ++n_done) {
      const std::size_t prompt = request.prompts[n_done % request.prompts.size()];
      // Each time around, the prompts have new seeds.
      const std::size_t run = n_done / request.prompts.size();
      RunTexts texts;
      measure_run({methods, std::span(&prompt, 1), request.temperature, run, request.seed,
                   request.n_tokens},
                  generate, on_text, texts);
      for (std::size_t k = 0; k < left.size(); ++k) {
        speeds[left[k]].tokens += static_cast<double>(texts[k][0].statistics.n_generated);
        speeds[left[k]].seconds += texts[k][0].statistics.decode_s;
      }
    }
    std::stable_sort(left.begin(), left.end(), [&](std::size_t a, std::size_t b) {
      return speeds[a].value() > speeds[b].value();
    });
    left.resize((left.size() + 1) / 2);
  }
  return left.front();
}

}  // namespace gumbelspec::apps::bench
