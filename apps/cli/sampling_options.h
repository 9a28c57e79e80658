// How tokens are drawn, in llama.cpp's spelling.
#ifndef GUMBELSPEC_APPS_CLI_SAMPLING_OPTIONS_H_
#define GUMBELSPEC_APPS_CLI_SAMPLING_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "apps/cli/arguments.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec::cli {

// The limits are the library's: validate().
void add_sampling_options(Arguments& arguments, SamplingOptions& options);

void add_seed_option(Arguments& arguments, std::optional<std::uint64_t>& seed);

// Throws: Error{invalid_option}.
[[nodiscard]] std::uint64_t parse_seed(const std::string& text);

// TOKEN(+/-)BIAS, e.g. "15043+1" or "15043-inf". Throws: Error{invalid_option}.
[[nodiscard]] LogitBias parse_logit_bias(std::string_view text);

// A seed that is short enough to be typed again, below 2^32.
[[nodiscard]] std::uint64_t random_seed();

}  // namespace gumbelspec::cli

#endif  // GUMBELSPEC_APPS_CLI_SAMPLING_OPTIONS_H_
