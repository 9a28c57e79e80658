// Plain decoding with nothing of the engine in it: the oracle of sessions and batches.
#ifndef GUMBELSPEC_TESTING_PLAIN_DECODER_H_
#define GUMBELSPEC_TESTING_PLAIN_DECODER_H_

#include <cstddef>
#include <span>
#include <vector>

#include "gumbelspec/language_model.h"
#include "gumbelspec/noise.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec::testing {

// The first n tokens after the prompt, or fewer where the model ends the text: a pass per token,
// the reference pipeline in double, noise_at() token by token.
[[nodiscard]] std::vector<TokenId> decode_plainly(LanguageModel& target,
                                                  std::span<const TokenId> prompt,
                                                  const SamplingOptions& sampling, NoiseKey key,
                                                  std::size_t n);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_PLAIN_DECODER_H_
