// Prompts that are text or tokens.
#include <utility>

#include "apps/server/api/request_reading.h"

namespace gumbelspec::server {
namespace {

std::vector<TokenId> read_tokens(const RequestReading& reading, const FieldValue& value) {
  const std::size_t n = value.json().size();
  // Before a name is made for each of them.
  if (n >= reading.model.n_context) {
    throw bad_request(value.name() + " has " + std::to_string(n) +
                          " tokens, but the context holds " +
                          std::to_string(reading.model.n_context) + "; shorten it",
                      "prompt", "context_length_exceeded");
  }
  const auto n_vocab = static_cast<std::int64_t>(reading.model.tokenizer->n_vocab());
  std::vector<TokenId> tokens;
  tokens.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    tokens.push_back(static_cast<TokenId>(value.element(i).integer(0, n_vocab - 1)));
  }
  return tokens;
}

std::string text_of(const ApiModel& model, const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) text += model.tokenizer->piece(token);
  return text;
}

void add_text(RequestReading& reading, const std::string& text) {
  try {
    const TokenizeOptions options{.adds_special = true, .reads_control = reading.reads_control};
    add_prompt(reading, reading.model.tokenizer->tokenize(text, options), text);
  } catch (const Error& error) {
    throw bad_field(error, "prompt", "invalid_prompt");
  }
}

void add_tokens(RequestReading& reading, const FieldValue& value) {
  std::vector<TokenId> tokens = read_tokens(reading, value);
  std::string text = text_of(reading.model, tokens);
  add_prompt(reading, std::move(tokens), std::move(text));
}

}  // namespace

void add_prompt(RequestReading& reading, std::vector<TokenId> tokens, std::string text) {
  reading.request.prompts.push_back(std::move(tokens));
  reading.request.prompt_texts.push_back(std::move(text));
}

void read_prompt(RequestReading& reading, const FieldValue& value) {
  const Json& json = value.json();
  if (json.is_string()) {
    add_text(reading, value.text());
  } else if (json.is_array() && !json.empty() && json.front().is_number()) {
    add_tokens(reading, value);
  } else if (json.is_array() && !json.empty()) {
    for (std::size_t i = 0; i < value.array(1, kMaxTexts).size(); ++i) {
      const FieldValue element = value.element(i);
      if (element.json().is_string()) {
        add_text(reading, element.text());
      } else if (element.json().is_array()) {
        add_tokens(reading, element);
      } else {
        element.refuse("a string or an array of tokens");
      }
    }
  } else {
    value.refuse("a string, an array of strings, an array of tokens, or an array of those");
  }
}

}  // namespace gumbelspec::server
