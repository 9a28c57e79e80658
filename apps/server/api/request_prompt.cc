// Prompts that are text or tokens.
#include <algorithm>
#include <utility>

#include "apps/server/api/request_reading.h"

namespace gumbelspec::server {
namespace {

std::vector<TokenId> tokenized(const RequestReading& reading, const std::string& text,
                               bool adds_special) {
  try {
    return reading.model.tokenizer->tokenize(
        text, {.adds_special = adds_special, .reads_control = reading.reads_control});
  } catch (const Error& error) {
    throw bad_field(error, "prompt", "invalid_prompt");
  }
}

std::vector<TokenId> read_tokens(const RequestReading& reading, const FieldValue& value) {
  const std::size_t n = value.json().size();
  // Before a name is made for each of them.
  if (n > reading.max_prompt_tokens) throw too_long(n, reading.model.n_context, "prompt");
  const auto n_vocab = static_cast<std::int64_t>(reading.model.tokenizer->n_vocab());
  std::vector<TokenId> tokens;
  tokens.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    const FieldValue element = value.element(i);
    if (element.json().is_string()) {
      // Among tokens; what begins a text comes before the first of them.
      const auto more = tokenized(reading, element.text(), /*adds_special=*/i == 0);
      tokens.insert(tokens.end(), more.begin(), more.end());
    } else {
      tokens.push_back(static_cast<TokenId>(element.integer(0, n_vocab - 1)));
    }
  }
  return tokens;
}

// llama.cpp's form of a text; images and sounds beside it are not read.
const std::string& text_of_object(const FieldValue& value) {
  for (const char* name : {"multimodal_data", "multimodal_urls"}) {
    if (!value.has(name) || value.json().at(name).empty()) continue;
    throw bad_request(value.name() + "." + name + " is given; this model reads text only",
                      value.name() + "." + name, "unsupported");
  }
  if (!value.has("prompt_string")) {
    throw bad_request(value.name() + " has no prompt_string; give it one", value.name(),
                      "invalid_value");
  }
  return value.member("prompt_string").text();
}

std::string text_of(const ApiModel& model, const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) text += model.tokenizer->piece(token);
  return text;
}

void add_text(RequestReading& reading, const std::string& text) {
  add_prompt(reading, tokenized(reading, text, /*adds_special=*/true), text);
}

void add_tokens(RequestReading& reading, const FieldValue& value) {
  std::vector<TokenId> tokens = read_tokens(reading, value);
  std::string text = text_of(reading.model, tokens);
  add_prompt(reading, std::move(tokens), std::move(text));
}

// Returns: whether it is a prompt.
bool add_one(RequestReading& reading, const FieldValue& value) {
  if (value.json().is_string()) {
    add_text(reading, value.text());
  } else if (value.json().is_object()) {
    add_text(reading, text_of_object(value));
  } else if (value.json().is_array()) {
    add_tokens(reading, value);
  } else {
    return false;
  }
  return true;
}

}  // namespace

void add_prompt(RequestReading& reading, std::vector<TokenId> tokens, std::string text) {
  reading.request.prompts.push_back(std::move(tokens));
  reading.request.prompt_texts.push_back(std::move(text));
}

void read_prompt(RequestReading& reading, const FieldValue& value) {
  const Json& json = value.json();
  const bool is_list = json.is_array() && !json.empty();
  // A token among strings: all of them are one prompt.
  const bool is_one = is_list && std::any_of(json.begin(), json.end(),
                                             [](const Json& part) { return part.is_number(); });
  if (is_list && !is_one) {
    for (std::size_t i = 0; i < value.array(1, reading.max_prompts).size(); ++i) {
      const FieldValue element = value.element(i);
      if (!add_one(reading, element)) element.refuse("a string, an object or an array of tokens");
    }
  } else if ((json.is_array() && json.empty()) || !add_one(reading, value)) {
    value.refuse("a string, an object, or an array of strings, tokens, objects or arrays of those");
  }
}

}  // namespace gumbelspec::server
