#include "apps/server/api/unsupported_fields.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "apps/server/api/field_value.h"

namespace gumbelspec::server {
namespace {

// When a field does nothing.
enum class Neutral {
  zero,          // 0
  not_positive,  // 0 or less
  at_least_one,  // 1 or more
  one,           // 1
  at_most_one,   // 0 or 1
  negative,      // -1, or less than 0
  is_false,
  is_true,
  empty,  // an empty string, array or object
};

struct UnsupportedField {
  std::string_view name;
  Neutral neutral;
  std::string_view remedy;  // another one than to leave it out
};

// llama.cpp's first, then those of vLLM, SGLang and OpenAI's older API.
constexpr std::array kFields = {
    UnsupportedField{"mirostat", Neutral::zero, ""},
    UnsupportedField{"dry_multiplier", Neutral::zero, "repeat_penalty"},
    UnsupportedField{"xtc_probability", Neutral::not_positive, ""},
    UnsupportedField{"typical_p", Neutral::at_least_one, "top_p or min_p"},
    UnsupportedField{"typ_p", Neutral::at_least_one, "top_p or min_p"},
    UnsupportedField{"top_n_sigma", Neutral::not_positive, "min_p"},
    UnsupportedField{"dynatemp_range", Neutral::zero, "temperature"},
    UnsupportedField{"adaptive_target", Neutral::negative, ""},
    UnsupportedField{"min_keep", Neutral::at_most_one, ""},
    UnsupportedField{"lora", Neutral::empty, ""},
    UnsupportedField{"grammar_lazy", Neutral::is_false, ""},
    UnsupportedField{"grammar_triggers", Neutral::empty, ""},
    UnsupportedField{"n_indent", Neutral::zero, ""},
    UnsupportedField{"suffix", Neutral::empty, ""},
    UnsupportedField{"best_of", Neutral::one, "n"},
    UnsupportedField{"use_beam_search", Neutral::is_false, ""},
    UnsupportedField{"length_penalty", Neutral::one, ""},
    UnsupportedField{"repetition_penalty", Neutral::one, "repeat_penalty"},
    UnsupportedField{"min_tokens", Neutral::zero, "ignore_eos"},
    UnsupportedField{"stop_token_ids", Neutral::empty, "stop"},
    UnsupportedField{"bad_words", Neutral::empty, "logit_bias"},
    UnsupportedField{"allowed_token_ids", Neutral::empty, "logit_bias"},
    UnsupportedField{"include_stop_str_in_output", Neutral::is_false, ""},
    UnsupportedField{"skip_special_tokens", Neutral::is_true, ""},
    UnsupportedField{"guided_json", Neutral::empty, "response_format"},
    UnsupportedField{"guided_regex", Neutral::empty, "grammar"},
    UnsupportedField{"guided_choice", Neutral::empty, "grammar"},
    UnsupportedField{"guided_grammar", Neutral::empty, "grammar"},
    UnsupportedField{"structured_outputs", Neutral::empty, "response_format or grammar"},
    UnsupportedField{"regex", Neutral::empty, "grammar"},
    UnsupportedField{"ebnf", Neutral::empty, "grammar"},
    UnsupportedField{"logits_processors", Neutral::empty, "logit_bias"},
};

bool is_neutral(const Json& value, Neutral neutral) {
  const auto number = [&](const auto& holds) {
    return value.is_number() && holds(value.get<double>());
  };
  switch (neutral) {
    case Neutral::zero:
      return number([](double x) { return x == 0.0; });
    case Neutral::not_positive:
      return number([](double x) { return x <= 0.0; });
    case Neutral::at_least_one:
      return number([](double x) { return x >= 1.0; });
    case Neutral::one:
      return number([](double x) { return x == 1.0; });
    case Neutral::at_most_one:
      return number([](double x) { return x == 0.0 || x == 1.0; });
    case Neutral::negative:
      return number([](double x) { return x < 0.0; });
    case Neutral::is_false:
      return value.is_boolean() && !value.get<bool>();
    case Neutral::is_true:
      return value.is_boolean() && value.get<bool>();
    case Neutral::empty:
      return (value.is_string() && value.get_ref<const std::string&>().empty()) ||
             (value.is_structured() && value.empty());
  }
  return false;
}

const char* limit_of(Neutral neutral) {
  switch (neutral) {
    case Neutral::zero:
      return "0";
    case Neutral::not_positive:
      return "0 or less";
    case Neutral::at_least_one:
      return "1";
    case Neutral::one:
      return "1";
    case Neutral::at_most_one:
      return "0 or 1";
    case Neutral::negative:
      return "-1";
    case Neutral::is_false:
      return "false";
    case Neutral::is_true:
      return "true";
    case Neutral::empty:
      return "empty";
  }
  return "";
}

// The samplers in the order in which they work here, with llama.cpp's letters.
struct Sampler {
  std::string_view name;
  char letter;
  bool (*is_on)(const SamplingOptions&);
};

bool has_penalties(const SamplingOptions& s) {
  return s.penalty_last_n != 0 &&
         (s.repeat_penalty != 1.0F || s.presence_penalty != 0.0F || s.frequency_penalty != 0.0F);
}

constexpr std::array kSamplers = {
    Sampler{"penalties", 'e', has_penalties},
    Sampler{"top_k", 'k', [](const SamplingOptions& s) { return s.top_k > 0; }},
    Sampler{"top_p", 'p', [](const SamplingOptions& s) { return s.top_p < 1.0F; }},
    Sampler{"min_p", 'm', [](const SamplingOptions& s) { return s.min_p > 0.0F; }},
    Sampler{"temperature", 't', [](const SamplingOptions& s) { return s.temperature != 1.0F; }},
};

const Sampler* find_sampler(const Json& entry) {
  if (!entry.is_string()) return nullptr;
  const std::string& name = entry.get_ref<const std::string&>();
  const auto* found = std::find_if(kSamplers.begin(), kSamplers.end(), [&](const Sampler& s) {
    return name == s.name || (name.size() == 1 && name[0] == s.letter);
  });
  return found == kSamplers.end() ? nullptr : found;
}

}  // namespace

void refuse_unsupported(const Json& body) {
  for (const UnsupportedField& field : kFields) {
    const auto found = body.find(field.name);
    if (found == body.end() || found->is_null() || is_neutral(*found, field.neutral)) continue;
    const std::string name(field.name);
    const std::string remedy(field.remedy);
    throw bad_request(name + " is " + shown(*found) + ", but is not supported, and must be " +
                          limit_of(field.neutral) + "; leave it out" +
                          (remedy.empty() ? "" : ", or use " + remedy),
                      name, "unsupported");
  }
}

void check_sampler_order(const Json& body, const SamplingOptions& sampling) {
  const auto found = body.find("samplers");
  if (found == body.end() || found->is_null() || found->empty()) return;
  Json letters = Json::array();
  if (found->is_string()) {
    for (const char letter : found->get_ref<const std::string&>()) {
      letters.push_back(std::string(1, letter));
    }
    if (letters.empty()) return;
  }
  const Json& list = found->is_string() ? letters : *found;
  if (!list.is_array()) FieldValue(*found, "samplers").refuse("an array of names or a string");
  std::vector<const Sampler*> asked;
  for (const Json& entry : list) {
    const Sampler* sampler = find_sampler(entry);
    // What is not here does nothing either: its own field was looked at.
    if (sampler != nullptr && sampler->is_on(sampling)) asked.push_back(sampler);
  }
  std::vector<const Sampler*> here;
  std::string order;
  for (const Sampler& sampler : kSamplers) {
    if (!sampler.is_on(sampling)) continue;
    here.push_back(&sampler);
    order += (order.empty() ? "" : ", ") + std::string(sampler.name);
  }
  if (asked == here) return;
  throw bad_request("samplers is " + shown(*found) +
                        ", but the ones that these options need work in the order " + order +
                        " here; leave it out",
                    "samplers", "unsupported");
}

bool is_checked(std::string_view name) {
  return name == "samplers" ||
         std::any_of(kFields.begin(), kFields.end(),
                     [&](const UnsupportedField& field) { return field.name == name; });
}

}  // namespace gumbelspec::server
