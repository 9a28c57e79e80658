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

// llama.cpp's letters. Samplers that are not here have a letter, and do nothing.
std::optional<Sampler> sampler_of_letter(const FieldValue& value, char letter) {
  constexpr std::array kLetters = {
      std::pair{'e', Sampler::penalties}, std::pair{'s', Sampler::top_n_sigma},
      std::pair{'k', Sampler::top_k},     std::pair{'y', Sampler::typical_p},
      std::pair{'p', Sampler::top_p},     std::pair{'m', Sampler::min_p},
      std::pair{'x', Sampler::xtc},       std::pair{'t', Sampler::temperature}};
  for (const auto& [known, sampler] : kLetters) {
    if (letter == known) return sampler;
  }
  if (letter != 'd' && letter != 'i' && letter != 'a') value.refuse("letters of edskypmxtia");
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
  reading.request.sampling.min_keep =
      static_cast<int>(value.integer(0, std::numeric_limits<std::int32_t>::max()));
}

// Others take more than 1 for off.
void read_typical_p(RequestReading& reading, const FieldValue& value) {
  reading.request.sampling.typical_p = std::min(value.number(), 1.0F);
}

// And less than 0.
void read_xtc_probability(RequestReading& reading, const FieldValue& value) {
  reading.request.sampling.xtc_probability = std::max(value.number(), 0.0F);
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
  reading.request.sampling.samplers = std::move(samplers);
}

}  // namespace gumbelspec::server
