// What a text must be to be generated; sessions and batches say the same where it is not.
#ifndef GUMBELSPEC_ENGINE_TEXT_CHECKS_H_
#define GUMBELSPEC_ENGINE_TEXT_CHECKS_H_

#include <cstddef>
#include <span>

#include "gumbelspec/language_model.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec {

// Throws: Error{invalid_prompt, prompt_too_long}.
void check_prompt(std::span<const TokenId> prompt, const ModelLimits& target);

// Throws: Error{invalid_option}.
void check_logit_bias(const SamplingOptions& sampling, std::size_t n_vocab);

// Throws: Error{invalid_option} where a draft head reads other hidden states than the target gives.
void check_states(const ModelLimits& target, const ModelLimits& draft);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_TEXT_CHECKS_H_
