// llama.cpp's less common samplers, and their order.
#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <vector>

#include "apps/server/api/request_reading.h"
#include "gumbelspec/error.h"

namespace gumbelspec::server {
namespace {

// llama.cpp's letters. A sampler that is not here has a letter, and does nothing.
std::optional<Sampler> sampler_of_letter(const FieldValue& value, char letter) {
  constexpr std::array kLetters = {
      std::pair{'e', Sampler::penalties},   std::pair{'d', Sampler::dry},
      std::pair{'s', Sampler::top_n_sigma}, std::pair{'k', Sampler::top_k},
      std::pair{'y', Sampler::typical_p},   std::pair{'p', Sampler::top_p},
      std::pair{'m', Sampler::min_p},       std::pair{'x', Sampler::xtc},
      std::pair{'t', Sampler::temperature}, std::pair{'a', Sampler::adaptive_p}};
  for (const auto& [known, sampler] : kLetters) {
    if (letter == known) return sampler;
  }
  if (letter != 'i') value.refuse("letters of edskypmxtia");
  return {};
}

std::optional<Sampler> sampler_of_name(const FieldValue& value) {
  try {
    return parse_sampler(value.text());
  } catch (const Error& error) {
    throw bad_field(error, "samplers");
  }
}

}  // namespace

void read_min_keep(RequestReading& reading, const FieldValue& value) {
  reading.request.text.sampling.min_keep =
      static_cast<int>(value.integer(0, std::numeric_limits<std::int32_t>::max()));
}

// Others take more than 1 for off.
void read_typical_p(RequestReading& reading, const FieldValue& value) {
  reading.request.text.sampling.typical_p = std::min(value.number(), 1.0F);
}

// And less than 0.
void read_xtc_probability(RequestReading& reading, const FieldValue& value) {
  reading.request.text.sampling.xtc_probability = std::max(value.number(), 0.0F);
}

// An empty list is the default, as llama.cpp's server has it.
void read_samplers(RequestReading& reading, const FieldValue& value) {
  constexpr std::size_t kMost = 64;
  std::vector<Sampler> samplers;
  const auto add = [&](std::optional<Sampler> sampler) {
    if (sampler) samplers.push_back(*sampler);
  };
  if (value.json().is_string()) {
    if (value.text().empty()) return;
    for (const char letter : value.text()) add(sampler_of_letter(value, letter));
  } else {
    if (!value.json().is_array()) value.refuse("an array of names or a string of letters");
    const std::size_t n = value.array(0, kMost).size();
    if (n == 0) return;
    for (std::size_t i = 0; i < n; ++i) add(sampler_of_name(value.element(i)));
  }
  reading.request.text.sampling.samplers = std::move(samplers);
}

namespace {

using Reading = RequestReading;
using Value = FieldValue;

constexpr std::int64_t kMostTokens = std::numeric_limits<std::int32_t>::max();

void read_dry_multiplier(Reading& reading, const Value& value) {
  reading.request.text.sampling.dry_multiplier = value.number();
}

// Below 1 it is the default, as llama.cpp's server has it.
void read_dry_base(Reading& reading, const Value& value) {
  const float base = value.number();
  if (base >= 1.0F) reading.request.text.sampling.dry_base = base;
}

void read_dry_allowed_length(Reading& reading, const Value& value) {
  reading.request.text.sampling.dry_allowed_length =
      static_cast<int>(value.integer(0, kMostTokens));
}

void read_dry_penalty_last_n(Reading& reading, const Value& value) {
  reading.request.text.sampling.dry_penalty_last_n =
      static_cast<int>(value.integer(-1, kMostTokens));
}

void read_dry_breakers(Reading& reading, const Value& value) {
  constexpr std::size_t kMost = 64;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < value.array(0, kMost).size(); ++i) {
    texts.push_back(value.element(i).text());
  }
  reading.dry_breakers = std::move(texts);
}

void read_mirostat(Reading& reading, const Value& value) {
  reading.request.text.sampling.mirostat = static_cast<int>(value.integer(0, 2));
}

void read_mirostat_tau(Reading& reading, const Value& value) {
  reading.request.text.sampling.mirostat_tau = value.number();
}

void read_mirostat_eta(Reading& reading, const Value& value) {
  reading.request.text.sampling.mirostat_eta = value.number();
}

void read_adaptive_target(Reading& reading, const Value& value) {
  reading.request.text.sampling.adaptive_target = value.number();
}

void read_adaptive_decay(Reading& reading, const Value& value) {
  reading.request.text.sampling.adaptive_decay = value.number();
}

constexpr bool kBoth = true;

const std::array kTable = {
    RequestField{
        {"dry_multiplier", "number", R"({"type": "number", "minimum": 0})", "0", kBoth, kBoth,
         "Tokens that would go on with a repetition get less: dry_multiplier * "
         "dry_base^(its length - dry_allowed_length); 0: off."},
        read_dry_multiplier},
    RequestField{{"dry_base", "number", R"({"type": "number"})", "1.75", kBoth, kBoth,
                  "How fast dry grows with the length; below 1: the default."},
                 read_dry_base},
    RequestField{{"dry_allowed_length", "integer", R"({"type": "integer", "minimum": 0})", "2",
                  kBoth, kBoth, "Tokens that may be repeated."},
                 read_dry_allowed_length},
    RequestField{{"dry_penalty_last_n", "integer", R"({"type": "integer", "minimum": -1})", "64",
                  kBoth, kBoth, "Tokens, prompt included, that dry looks at; -1: all, 0: dry off."},
                 read_dry_penalty_last_n},
    RequestField{
        {"dry_sequence_breakers", "array of strings",
         R"({"type": "array", "maxItems": 64, "items": {"type": "string", "minLength": 1, "maxLength": 40}})",
         R"(["\n", ":", "\"", "*"])", kBoth, kBoth,
         "Texts that no repetition reaches over; at most 40 bytes each."},
        read_dry_breakers},
    RequestField{{"mirostat", "integer", R"({"type": "integer", "minimum": 0, "maximum": 2})", "0",
                  kBoth, kBoth,
                  "1 or 2: instead of all samplers but the temperature, keep the surprise of the "
                  "tokens near mirostat_tau; 0: off."},
                 read_mirostat},
    RequestField{{"mirostat_tau", "number", R"({"type": "number", "minimum": 0})", "5", kBoth,
                  kBoth, "The surprise that mirostat aims at, in bits."},
                 read_mirostat_tau},
    RequestField{{"mirostat_eta", "number", R"({"type": "number", "minimum": 0, "maximum": 1})",
                  "0.1", kBoth, kBoth, "How fast mirostat learns."},
                 read_mirostat_eta},
    RequestField{
        {"adaptive_target", "number", R"({"type": "number", "maximum": 1})", "-1", kBoth, kBoth,
         "Tokens near this probability are preferred, so that their average stays there; "
         "below 0: off."},
        read_adaptive_target},
    RequestField{
        {"adaptive_decay", "number", R"({"type": "number", "minimum": 0, "maximum": 0.99})", "0.9",
         kBoth, kBoth, "How slowly the average of adaptive_target forgets."},
        read_adaptive_decay},
};

}  // namespace

std::span<const RequestField> sampler_field_table() { return kTable; }

void settle_breakers(RequestReading& reading) {
  SamplingOptions& sampling = reading.request.text.sampling;
  if (!(sampling.dry_multiplier > 0.0F)) return;
  try {
    sampling.dry_breakers = reading.model.tokenizer->dry_breakers(
        reading.dry_breakers.value_or(reading.model.dry_breakers));
  } catch (const Error& error) {
    throw bad_field(error, "dry_sequence_breakers");
  }
}

}  // namespace gumbelspec::server
