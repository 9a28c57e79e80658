// How tokens are drawn, in llama.cpp's spelling.
#ifndef GUMBELSPEC_APPS_COMMON_SAMPLING_OPTIONS_H_
#define GUMBELSPEC_APPS_COMMON_SAMPLING_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/common/arguments.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec::apps {

// The limits are the library's: validate().
void add_sampling_options(Arguments& arguments, SamplingOptions& options);

void add_seed_option(Arguments& arguments, std::optional<std::uint64_t>& seed);

// Throws: Error{invalid_option}.
[[nodiscard]] std::uint64_t parse_seed(const std::string& text);

// TOKEN(+/-)BIAS, e.g. "15043+1" or "15043-inf". Throws: Error{invalid_option}.
[[nodiscard]] LogitBias parse_logit_bias(std::string_view text);

// The texts that --dry-sequence-breaker says, else llama.cpp's.
[[nodiscard]] std::vector<std::string> dry_breaker_texts(const Arguments& arguments);
// And as the target's tokens, where dry is on. Throws: Error{invalid_option}.
void take_dry_breakers(const std::vector<std::string>& texts, const LlamaModel& target,
                       SamplingOptions& options);

// Names with ; between, in llama.cpp's spellings. Throws: Error{invalid_option}.
[[nodiscard]] std::vector<Sampler> parse_samplers(std::string_view text);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_SAMPLING_OPTIONS_H_
