// The sampling pipeline once more, as plainly as possible and in double: the oracle of the tests.
#ifndef GUMBELSPEC_TESTING_REFERENCE_H_
#define GUMBELSPEC_TESTING_REFERENCE_H_

#include <span>
#include <vector>

#include "gumbelspec/sampling.h"
#include "testing/table_model.h"

namespace gumbelspec::testing {

// The probabilities of the next token. Shape: logits and result [n_vocab].
[[nodiscard]] std::vector<double> reference_probabilities(std::span<const float> logits,
                                                          const SamplingOptions& options,
                                                          std::span<const TokenId> text);

// The same along a text, with mirostat and adaptive-p, which go by the tokens chosen before.
class AdaptiveReference {
 public:
  explicit AdaptiveReference(const SamplingOptions& options) : options_(options) { start(); }
  void start();  // another text
  [[nodiscard]] bool has_memory() const {
    return options_.mirostat != 0 || options_.adaptive_target >= 0.0F;
  }
  // Of the next token; then choose() says which one came.
  [[nodiscard]] std::vector<double> probabilities(std::span<const float> logits,
                                                  std::span<const TokenId> text);
  void choose(TokenId token);

 private:
  SamplingOptions options_;
  std::vector<double> chances_;
  double surprise_ = 0.0;
  double sum_ = 0.0;
  double weight_ = 0.0;
};

// The joint probabilities of the next n tokens of a model after a prompt, all enumerated; the
// outcome (a, b, c) has index (a V + b) V + c. Shape: [n_vocab ^ n].
[[nodiscard]] std::vector<double> joint_probabilities(const TableModel& model,
                                                      const SamplingOptions& options,
                                                      std::span<const TokenId> prompt,
                                                      std::size_t n);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_REFERENCE_H_
