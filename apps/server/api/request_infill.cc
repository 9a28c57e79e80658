// /infill: a gap between two pieces of text, as the models that fill gaps were trained to read it.
#include <algorithm>
#include <utility>

#include "apps/server/api/request_reading.h"

namespace gumbelspec::server {
namespace {

using Tokens = std::vector<TokenId>;

void append(Tokens& tokens, const Tokens& more) {
  tokens.insert(tokens.end(), more.begin(), more.end());
}

Tokens tokenized(const ApiModel& model, const std::string& text, const std::string& param) {
  try {
    return model.tokenizer->tokenize(text, {.adds_special = false, .reads_control = false});
  } catch (const Error& error) {
    throw bad_field(error, param, "invalid_prompt");
  }
}

// A text of the body that may be missing.
std::string text_of(const Json& body, const char* name, bool is_needed) {
  const auto found = body.find(name);
  if (found != body.end() && !found->is_null()) return FieldValue(*found, name).text();
  if (!is_needed) return {};
  throw bad_request(std::string("there is no ") + name + "; give it, or an empty string", name,
                    "missing_field");
}

void require_fill_tokens(const LlamaFillTokens& tokens) {
  std::string missing;
  const auto need = [&](bool is_there, const char* name) {
    if (!is_there) missing += std::string(missing.empty() ? "" : ", ") + name;
  };
  need(tokens.prefix.has_value(), "prefix");
  need(tokens.suffix.has_value(), "suffix");
  need(tokens.middle.has_value(), "middle");
  if (missing.empty()) return;
  throw ApiError(501, "not_supported_error",
                 "Infill is not supported by this model: it has no token for " + missing +
                     "; serve one that was trained to fill gaps",
                 "", "unsupported");
}

// What stands around the gap, other files first. Source: Qwen2.5-Coder, arXiv 2409.12186.
Tokens extra_tokens(const ApiModel& model, const FieldValue* extra) {
  const LlamaFillTokens& fill = model.fill_tokens;
  const auto name_file = [&](Tokens& tokens, const std::string& name) {
    if (fill.file) {
      tokens.push_back(*fill.file);
      append(tokens, tokenized(model, name + "\n", "input_extra"));
    } else if (name != "filename") {
      append(tokens, tokenized(model, "\n\n--- snippet ---\n\n", "input_extra"));
    }
  };
  Tokens tokens;
  if (fill.repository) {
    tokens.push_back(*fill.repository);
    append(tokens, tokenized(model, "myproject\n", "input_extra"));
  }
  const std::size_t n = extra == nullptr ? 0 : extra->array(0, kMaxMessages).size();
  for (std::size_t i = 0; i < n; ++i) {
    const FieldValue chunk = extra->element(i);
    if (!chunk.has("text")) {
      throw bad_request(chunk.name() + " has no text; give it one", chunk.name(), "invalid_value");
    }
    name_file(tokens, chunk.has("filename") ? chunk.member("filename").text() : "tmp");
    append(tokens, tokenized(model, chunk.member("text").text(), chunk.name()));
  }
  name_file(tokens, "filename");
  return tokens;
}

}  // namespace

void read_infill(RequestReading& reading, const Json& body) {
  const ApiModel& model = reading.model;
  const LlamaFillTokens& fill = model.fill_tokens;
  require_fill_tokens(fill);
  const Tokens prompt = tokenized(model, text_of(body, "prompt", false), "prompt");
  Tokens prefix = tokenized(model, text_of(body, "input_prefix", true), "input_prefix");
  Tokens suffix = tokenized(model, text_of(body, "input_suffix", true), "input_suffix");
  const auto found = body.find("input_extra");
  const bool has_extra = found != body.end() && !found->is_null();
  const FieldValue value(has_extra ? *found : body, "input_extra");
  Tokens extra = extra_tokens(model, has_extra ? &value : nullptr);
  const Tokens begin = model.tokenizer->tokenize("", {.adds_special = true});
  // What does not fit is left out: of what is around, and of the prefix, what is farthest from the
  // gap. Half of the context, but for what is asked for, is for the text itself.
  const std::size_t n_fixed = prompt.size() + begin.size() + 3;
  const std::size_t n_text = std::min(reading.request.text.max_tokens, model.n_context / 2);
  if (n_fixed + n_text >= model.n_context) {
    throw too_long(n_fixed + prefix.size() + suffix.size(), model.n_context, "prompt");
  }
  std::size_t n_left = model.n_context - n_text - n_fixed;
  const std::size_t n_suffix =
      std::min(suffix.size(), std::max(n_left / 4, n_left - std::min(n_left, prefix.size())));
  suffix.resize(n_suffix);
  n_left -= n_suffix;
  if (prefix.size() > n_left) {
    prefix.erase(prefix.begin(), prefix.end() - static_cast<std::ptrdiff_t>(n_left));
  }
  n_left -= prefix.size();
  if (extra.size() > n_left) {
    extra.erase(extra.begin(), extra.end() - static_cast<std::ptrdiff_t>(n_left));
  }
  Tokens tokens = begin;
  append(tokens, extra);
  tokens.push_back(*fill.prefix);
  append(tokens, prefix);
  append(tokens, prompt);
  tokens.push_back(*fill.suffix);
  append(tokens, suffix);
  tokens.push_back(*fill.middle);
  reading.request.prompts.push_back(std::move(tokens));
  reading.request.prompt_texts.emplace_back();
}

}  // namespace gumbelspec::server
