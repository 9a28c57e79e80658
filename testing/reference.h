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

// The joint probabilities of the next n tokens of a model after a prompt, all enumerated; the
// outcome (a, b, c) has index (a V + b) V + c. Shape: [n_vocab ^ n].
[[nodiscard]] std::vector<double> joint_probabilities(const TableModel& model,
                                                      const SamplingOptions& options,
                                                      std::span<const TokenId> prompt,
                                                      std::size_t n);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_REFERENCE_H_
