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
  one,           // 1
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
    case Neutral::one:
      return number([](double x) { return x == 1.0; });
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
    case Neutral::one:
      return "1";
    case Neutral::is_false:
      return "false";
    case Neutral::is_true:
      return "true";
    case Neutral::empty:
      return "empty";
  }
  return "";
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

bool is_checked(std::string_view name) {
  return std::any_of(kFields.begin(), kFields.end(),
                     [&](const UnsupportedField& field) { return field.name == name; });
}

}  // namespace gumbelspec::server
