#include "apps/common/sampling_options.h"

#include <charconv>
#include <limits>
#include <string>
#include <system_error>

#include "apps/common/option_names.h"
#include "apps/common/utf8_stream.h"
#include "gumbelspec/error.h"

namespace gumbelspec::apps {
namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();

}  // namespace

std::uint64_t parse_seed(const std::string& text) {
  std::uint64_t seed = 0;
  const char* end = text.data() + text.size();
  const auto [stopped_at, error] = std::from_chars(text.data(), end, seed);
  if (error != std::errc() || stopped_at != end) {
    throw bad_option("--seed is " + in_quotes(text) +
                     "; give a whole number from 0 to 18446744073709551615, or leave it out for a "
                     "random one");
  }
  return seed;
}

LogitBias parse_logit_bias(std::string_view text) {
  std::int32_t token = 0;
  float bias = 0.0F;
  const char* end = text.data() + text.size();
  const auto [sign, token_error] = std::from_chars(text.data(), end, token);
  bool is_valid = token_error == std::errc() && token >= 0 && end - sign >= 2 &&
                  (*sign == '+' || *sign == '-') && sign[1] != '-';
  if (is_valid) {
    const auto [stopped_at, error] = std::from_chars(sign + 1, end, bias);
    is_valid = error == std::errc() && stopped_at == end;
  }
  if (!is_valid) {
    throw bad_option("--logit-bias is " + in_quotes(text) +
                     "; give TOKEN+BIAS or TOKEN-BIAS, e.g. 15043+1 or 15043-inf");
  }
  return {static_cast<TokenId>(token), *sign == '-' ? -bias : bias};
}

namespace {

// llama.cpp's less common ones.
void add_samplers(Arguments& arguments, SamplingOptions& options) {
  const auto add = [&](const std::string& names, float& value, const std::string& description) {
    add_number(arguments, names, value, description);
  };
  add("--top-n-sigma", options.top_n_sigma,
      "Keep tokens whose logit is within so many standard deviations of the largest; 0 or less: "
      "all (default: -1)");
  add("--typical,--typical-p", options.typical_p,
      "Keep the tokens of the most typical surprise that together have this probability, in (0, "
      "1]; 1: all (default: 1)");
  add_integer(
      arguments, "--min-keep", 0, kMaxInt,
      [&](std::int64_t n) { options.min_keep = static_cast<int>(n); },
      "Tokens that top-p, min-p, typical-p and xtc leave at least; 0: one (default: 0)");
  add("--xtc-probability", options.xtc_probability,
      "How often, in [0, 1], all tokens above --xtc-threshold but the least likely of them are "
      "left "
      "out; 0: never (default: 0)");
  add("--xtc-threshold", options.xtc_threshold,
      "Probability from which --xtc-probability takes a token for likely, in [0, 1]; above 0.5: "
      "off (default: 0.1)");
  add("--dynatemp-range", options.dynatemp_range,
      "The temperature is between so much below and above --temp, by how sure the model is, at "
      "least 0; 0: off (default: 0)");
  add("--dynatemp-exp", options.dynatemp_exponent,
      "Exponent of --dynatemp-range, above 0 (default: 1)");
  arguments.add_option(
      "--samplers", "NAMES",
      "The samplers that work, in their order, with ; between; of penalties, top_n_sigma, top_k, "
      "typ_p, top_p, min_p, xtc, temperature (default: that order)",
      [&](const std::string& text) { options.samplers = parse_samplers(text); });
}

}  // namespace

std::vector<Sampler> parse_samplers(std::string_view text) {
  std::vector<Sampler> samplers;
  for (;;) {
    const std::size_t end = text.find(';');
    try {
      if (const auto sampler = parse_sampler(text.substr(0, end))) samplers.push_back(*sampler);
    } catch (const Error& error) {
      throw bad_option(message_of(error));
    }
    if (end == std::string_view::npos) return samplers;
    text.remove_prefix(end + 1);
  }
}

void add_sampling_options(Arguments& arguments, SamplingOptions& options) {
  const auto add = [&](const std::string& names, float& value, const std::string& description) {
    add_number(arguments, names, value, description);
  };
  add("--temp", options.temperature,
      "Temperature, at least 0; 1: the model's own distribution, 0: always the likeliest token "
      "(default: 1)");
  add_integer(
      arguments, "--top-k", 0, kMaxInt,
      [&](std::int64_t k) { options.top_k = static_cast<int>(k); },
      "Keep the K likeliest tokens; 0: all (default: 0)");
  add("--top-p", options.top_p,
      "Keep the likeliest tokens that together have this probability, in (0, 1]; 1: all (default: "
      "1)");
  add("--min-p", options.min_p,
      "Keep tokens with at least this share of the likeliest one's probability, in [0, 1]; 0: all "
      "(default: 0)");
  add_samplers(arguments, options);
  add("--repeat-penalty", options.repeat_penalty,
      "Logits of tokens that occur are divided by it (multiplied, if negative), above 0; 1: off "
      "(default: 1)");
  add("--presence-penalty", options.presence_penalty,
      "Subtracted from the logit of each token that occurs; 0: off (default: 0)");
  add("--frequency-penalty", options.frequency_penalty,
      "Subtracted from a token's logit for each time it occurs; 0: off (default: 0)");
  add_integer(
      arguments, "--repeat-last-n", -1, kMaxInt,
      [&](std::int64_t n) { options.penalty_last_n = static_cast<int>(n); },
      "Tokens, prompt included, that the penalties look at; -1: all, 0: penalties off (default: "
      "64)");
  arguments.add_list(
      "-l,--logit-bias", "TOKEN(+/-)BIAS",
      "Added to the logit of a token: 15043+1, 15043-1; 15043-inf forbids it; may be given "
      "several times",
      [&](const std::vector<std::string>& texts) {
        options.logit_bias.clear();
        for (const std::string& text : texts) {
          options.logit_bias.push_back(parse_logit_bias(text));
        }
      });
  arguments.group_new_options("Sampling");
}

void add_seed_option(Arguments& arguments, std::optional<std::uint64_t>& seed) {
  arguments.add_option(
      "-s,--seed", "N",
      "Seed of the noise, from 0 to 2^64 - 1: the same seed gives the same text; -1: a random one, "
      "which is told (default: -1)",
      [&seed](const std::string& text) {
        seed = text == "-1" ? std::nullopt : std::optional<std::uint64_t>(parse_seed(text));
      });
}

}  // namespace gumbelspec::apps
