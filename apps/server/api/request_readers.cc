// The fields with a structure of their own.
#include <charconv>
#include <cmath>
#include <limits>

#include "apps/server/api/request_reading.h"

namespace gumbelspec::server {
namespace {

void add_bias(RequestReading& reading, const FieldValue& token, const FieldValue& bias) {
  const bool is_forbidden = bias.json().is_boolean() && !bias.boolean();
  const float value = is_forbidden ? -std::numeric_limits<float>::infinity() : bias.number();
  if (token.json().is_string()) {
    try {
      for (const TokenId id :
           reading.model.tokenizer->tokenize(token.text(), {.adds_special = false})) {
        reading.request.text.sampling.logit_bias.push_back({id, value});
      }
    } catch (const Error& error) {
      throw bad_field(error, token.name());
    }
    return;
  }
  const auto n_vocab = static_cast<std::int64_t>(reading.model.tokenizer->n_vocab());
  reading.request.text.sampling.logit_bias.push_back(
      {static_cast<TokenId>(token.integer(0, n_vocab - 1)), value});
}

void read_bias_map(RequestReading& reading, const FieldValue& value) {
  for (const auto& item : value.json().items()) {
    const std::string& key = item.key();
    std::int64_t token = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    const bool is_id = error == std::errc() && end == key.data() + key.size();
    if (key.empty()) {
      throw bad_request(
          "logit_bias has an empty key, but its keys must be token ids or texts; leave it out",
          "logit_bias", "invalid_value");
    }
    const Json entry = is_id ? Json(token) : Json(key);
    add_bias(reading, FieldValue(entry, "logit_bias"),
             FieldValue(item.value(), "logit_bias." + key));
  }
}

void set_schema(RequestReading& reading, const Json& schema, const std::string& name) {
  if (!reading.gbnf.empty()) {
    throw bad_request(
        name + " and " + reading.grammar_name + " both say what the text is like; give one", name,
        "invalid_value");
  }
  try {
    reading.gbnf = *reading.model.schemas->grammar_of(to_text(schema));
  } catch (const Error& error) {
    throw bad_field(error, name, "");
  }
  reading.grammar_name = name;
  reading.schema = to_text(schema.empty() ? Json{{"type", "object"}} : schema);
}

}  // namespace

void read_logit_bias(RequestReading& reading, const FieldValue& value) {
  if (!value.json().is_structured() || value.json().size() > kMaxBiases) {
    value.refuse("an object {\"TOKEN\": BIAS} or an array [[TOKEN, BIAS], ...] of at most " +
                 std::to_string(kMaxBiases));
  }
  if (value.json().is_object()) {
    read_bias_map(reading, value);
  } else {
    for (std::size_t i = 0; i < value.json().size(); ++i) {
      const FieldValue pair = value.element(i);
      (void)pair.array(2, 2);
      add_bias(reading, pair.element(0), pair.element(1));
    }
  }
  if (reading.request.text.sampling.logit_bias.size() > kMaxBiases) {
    value.refuse("of at most " + std::to_string(kMaxBiases) + " tokens");
  }
}

void read_response_format(RequestReading& reading, const FieldValue& value) {
  if (!value.has("type")) {
    throw bad_request("response_format has no type; give it text, json_object or json_schema",
                      "response_format.type", "invalid_value");
  }
  const std::string& type = value.member("type").text();
  if (type == "text") return;
  const Json* schema = nullptr;
  const Json any_object{{"type", "object"}};
  if (type == "json_object") {
    // llama.cpp's form has the schema here.
    schema = value.has("schema") ? &value.member("schema").object() : &any_object;
  } else if (type == "json_schema") {
    if (!value.has("json_schema") || !value.member("json_schema").has("schema")) {
      throw bad_request("response_format has no json_schema.schema; give it one",
                        "response_format.json_schema", "invalid_value");
    }
    schema = &value.member("json_schema").member("schema").object();
  } else {
    value.member("type").refuse("text, json_object or json_schema");
  }
  set_schema(reading, *schema, "response_format");
}

void read_json_schema(RequestReading& reading, const FieldValue& value) {
  set_schema(reading, value.object(), "json_schema");
}

void read_seed(RequestReading& reading, const FieldValue& value) {
  if (value.json().is_number_unsigned()) {
    reading.request.seed = value.json().get<std::uint64_t>();
    return;
  }
  constexpr std::int64_t kMostExact = std::int64_t{1} << 53U;  // of a number in double
  const bool is_whole = value.json().is_number_float() &&
                        std::abs(value.json().get<double>()) <= static_cast<double>(kMostExact) &&
                        std::trunc(value.json().get<double>()) == value.json().get<double>();
  const std::int64_t seed = value.json().is_number_integer() ? value.json().get<std::int64_t>()
                            : is_whole ? static_cast<std::int64_t>(value.json().get<double>())
                                       : -2;
  if (seed < -1) {
    value.refuse("a whole number from 0 to 18446744073709551615, or -1 for a random one");
  }
  reading.request.seed.reset();  // of the server's default
  if (seed >= 0) reading.request.seed = static_cast<std::uint64_t>(seed);
}

}  // namespace gumbelspec::server
