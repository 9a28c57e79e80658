// Texts at which dry stops looking back, as the tokens of a model.
#ifndef GUMBELSPEC_DRY_BREAKERS_H_
#define GUMBELSPEC_DRY_BREAKERS_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec {

// What SamplingOptions::dry_breakers takes: all sequences of tokens in which one of these texts
// occurs, and that begin with the text's first token. Of a text in whose characters a token ends,
// those where it ends between two. kDryBreakerTexts are the usual ones.
// Throws: Error{invalid_option} for an empty text and for one of more than 40 bytes.
// Cost: reads the vocabulary, some 100 ms for one of 150,000 tokens.
[[nodiscard]] std::shared_ptr<const std::vector<DryBreaker>> dry_breakers(
    const LlamaModel& model, std::span<const std::string> texts);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_DRY_BREAKERS_H_
