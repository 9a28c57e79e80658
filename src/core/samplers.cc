// The samplers' names.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "gumbelspec/error.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec {
namespace {

struct Name {
  std::string_view text;  // llama.cpp's, with underscores
  Sampler sampler{};
};

constexpr std::array kNames = {
    Name{"penalties", Sampler::penalties},
    Name{"dry", Sampler::dry},
    Name{"top_n_sigma", Sampler::top_n_sigma},
    Name{"top_k", Sampler::top_k},
    Name{"typ_p", Sampler::typical_p},
    Name{"top_p", Sampler::top_p},
    Name{"min_p", Sampler::min_p},
    Name{"xtc", Sampler::xtc},
    Name{"temperature", Sampler::temperature},
    Name{"adaptive_p", Sampler::adaptive_p},
    // llama.cpp's other names.
    Name{"typical_p", Sampler::typical_p},
    Name{"typ", Sampler::typical_p},
    Name{"nucleus", Sampler::top_p},
    Name{"temp", Sampler::temperature},
};
constexpr std::string_view kOther = "infill";

// In small letters, without what words may be joined with.
std::string plain(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '_' || c == '-') continue;
    out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

}  // namespace

std::string_view to_string(Sampler sampler) {
  return std::find_if(kNames.begin(), kNames.end(),
                      [&](const Name& name) { return name.sampler == sampler; })
      ->text;
}

std::optional<Sampler> parse_sampler(std::string_view name) {
  const std::string wanted = plain(name);
  for (const Name& known : kNames) {
    if (plain(known.text) == wanted) return known.sampler;
  }
  if (wanted == kOther) return {};
  std::string names;
  for (const Sampler sampler : kDefaultSamplers) {
    names += (names.empty() ? "" : ", ") + std::string(to_string(sampler));
  }
  throw Error(
      ErrorCode::invalid_option,
      "samplers has \"" + std::string(name.substr(0, 40)) + "\", but must have names of " + names,
      "samplers");
}

}  // namespace gumbelspec
