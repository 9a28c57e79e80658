#include "apps/common/sampling_options.h"

#include <charconv>
#include <limits>
#include <memory>
#include <string>
#include <system_error>

#include "apps/common/option_names.h"
#include "apps/common/utf8_stream.h"
#include "gumbelspec/dry_breakers.h"
#include "gumbelspec/error.h"

namespace gumbelspec::apps {
namespace {

constexpr int kMaxInt = std::numeric_limits<int>::max();
constexpr const char* kBreakerOption = "--dry-sequence-breaker";

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
      "The samplers that work, in their order, with ; between; of penalties, dry, top_n_sigma, "
      "top_k, typ_p, top_p, min_p, xtc, temperature, adaptive_p, which is always last (default: "
      "that order)",
      [&](const std::string& text) { options.samplers = parse_samplers(text); });
}

// Those that look at more than the row.
void add_text_samplers(Arguments& arguments, SamplingOptions& options) {
  const auto add = [&](const std::string& names, float& value, const std::string& description) {
    add_number(arguments, names, value, description);
  };
  const auto add_count = [&](const std::string& names, int least, int most, int& value,
                             const std::string& description) {
    add_integer(
        arguments, names, least, most, [&value](std::int64_t n) { value = static_cast<int>(n); },
        description);
  };
  add("--dry-multiplier", options.dry_multiplier,
      "Tokens that would go on with a repetition get less: this times --dry-base to the power of "
      "its length beyond --dry-allowed-length; 0: off (default: 0)");
  add("--dry-base", options.dry_base, "Base of --dry-multiplier, at least 1 (default: 1.75)");
  add_count("--dry-allowed-length", 0, kMaxInt, options.dry_allowed_length,
            "Tokens that may be repeated (default: 2)");
  add_count("--dry-penalty-last-n", -1, kMaxInt, options.dry_penalty_last_n,
            "Tokens, prompt included, that --dry-multiplier looks at; -1: all, 0: off (default: "
            "64)");
  arguments.add_list(
      kBreakerOption, "TEXT",
      "A text that no repetition reaches over, instead of line breaks, : \" and *; may be given "
      "several times; none: without",
      [](const std::vector<std::string>& /*texts*/) {});
  add_count("--mirostat", 0, 2, options.mirostat,
            "1 or 2: instead of all samplers but the temperature, keep the surprise of the tokens "
            "near --mirostat-ent; 0: off (default: 0)");
  add("--mirostat-ent", options.mirostat_tau,
      "The surprise that --mirostat aims at, in bits, at least 0 (default: 5)");
  add("--mirostat-lr", options.mirostat_eta,
      "How fast --mirostat learns, in [0, 1] (default: 0.1)");
  add("--adaptive-target", options.adaptive_target,
      "Prefer tokens near this probability, at most 1, so that their average stays there; below "
      "0: off (default: -1)");
  add("--adaptive-decay", options.adaptive_decay,
      "How slowly the average of --adaptive-target forgets, in [0, 0.99] (default: 0.9)");
}

}  // namespace

std::vector<std::string> dry_breaker_texts(const Arguments& arguments) {
  if (!arguments.is_given(kBreakerOption)) {
    return {kDryBreakerTexts.begin(), kDryBreakerTexts.end()};
  }
  // As llama.cpp's programs take them.
  std::vector<std::string> texts;
  for (const std::string& text : arguments.option(kBreakerOption).texts()) {
    if (text == "none") {
      texts.clear();
    } else {
      texts.push_back(text);
    }
  }
  return texts;
}

void take_dry_breakers(const std::vector<std::string>& texts, const LlamaModel& target,
                       SamplingOptions& options) {
  if (!(options.dry_multiplier > 0.0F)) return;
  options.dry_breakers = dry_breakers(target, texts);
}

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
  add_text_samplers(arguments, options);
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
