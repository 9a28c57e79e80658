// What a model's file says of how its tokens are to be drawn.
#ifndef GUMBELSPEC_APPS_COMMON_MODEL_SAMPLING_H_
#define GUMBELSPEC_APPS_COMMON_MODEL_SAMPLING_H_

#include "apps/common/arguments.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec::apps {

// Puts the file's values (general.sampling.*) in the places of options that were not given, as
// llama.cpp does, and forbids the tokens that it says are never to be chosen
// (tokenizer.ggml.suppress_tokens). Both are told in a line on standard error, as is what the file
// asks for and there is none of. Dry's breakers become the model's tokens.
// Throws: Error{invalid_option} for values outside the options' limits.
void take_model_sampling(const Arguments& arguments, const LlamaModel& target,
                         SamplingOptions& options);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_MODEL_SAMPLING_H_
