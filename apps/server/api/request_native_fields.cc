// llama.cpp's own fields.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "apps/server/api/request_reading.h"

namespace gumbelspec::server {
namespace {

using Reading = RequestReading;
using Value = FieldValue;

constexpr std::int64_t kMaxProbs = 1000;
constexpr std::size_t kMaxResponseFields = 64;

void read_n_probs(Reading& reading, const Value& value) {
  const auto n = static_cast<int>(value.integer(0, kMaxProbs));
  if (n == 0) return;
  const auto n_vocab = static_cast<int>(reading.model.tokenizer->n_vocab());
  reading.request.native.has_probs = true;
  reading.request.text.n_logprobs = std::min(n, n_vocab);
}

void read_max_predict_ms(Reading& reading, const Value& value) {
  const float ms = value.number();
  reading.request.native.max_predict_ms = ms > 0.0F ? static_cast<double>(ms) : 0.0;
}

void read_response_fields(Reading& reading, const Value& value) {
  for (std::size_t i = 0; i < value.array(0, kMaxResponseFields).size(); ++i) {
    reading.request.native.response_fields.push_back(value.element(i).text());
  }
}

void read_slot(Reading& reading, const Value& value) {
  const auto n = static_cast<std::int64_t>(reading.model.n_slots);
  const std::int64_t slot = value.integer(-1, n - 1);
  if (slot >= 0) reading.request.text.slot = static_cast<std::size_t>(slot);
}

constexpr bool kBoth = true;

// name, type, schema, default, completions, chat, description
constexpr std::array kTable = {
    RequestField{{"n_probs", "integer", R"({"type": "integer", "minimum": 0, "maximum": 1000})",
                  "0", true, false,
                  "logprobs of so many likeliest tokens, under llama.cpp's name; /completion "
                  "answers with completion_probabilities, and streams a token per event then."},
                 read_n_probs},
    RequestField{{"post_sampling_probs", "boolean", R"({"type": "boolean"})", "false", kBoth, kBoth,
                  "Log-probabilities are those of the distribution that the token is drawn from, "
                  "after temperature, penalties, truncation and grammar; /completion has prob and "
                  "top_probs then, without tokens that cannot come."},
                 set_text_flag<&TextOptions::final_logprobs>},
    RequestField{{"return_tokens", "boolean", R"({"type": "boolean"})", "false", true, false,
                  "Of /completion: tokens has the ids of the text's tokens; events always do."},
                 set_option<&NativeOptions::returns_tokens>},
    RequestField{{"return_progress", "boolean", R"({"type": "boolean"})", "false", kBoth, kBoth,
                  "With stream: events with prompt_progress while the prompt is read: total, "
                  "cache (reused), processed, time_ms."},
                 set_option<&NativeOptions::returns_progress>},
    RequestField{{"timings_per_token", "boolean", R"({"type": "boolean"})", "false", kBoth, kBoth,
                  "With stream: every event has timings."},
                 set_option<&NativeOptions::timings_per_token>},
    RequestField{{"verbose", "boolean", R"({"type": "boolean"})", "", kBoth, kBoth,
                  "The answer has __verbose: the same in the form of /completion, with the prompt "
                  "as the model reads it. Default: as --verbose."},
                 set_option<&NativeOptions::is_verbose>},
    RequestField{{"t_max_predict_ms", "number", R"({"type": "number"})", "0", kBoth, kBoth,
                  "The text ends after so many milliseconds of generating, once it has a line's "
                  "end; 0 or less: no limit. Where it ends depends on the machine."},
                 read_max_predict_ms},
    RequestField{
        {"response_fields", "array of strings",
         R"({"type": "array", "maxItems": 64, "items": {"type": "string"}})", "", true, false,
         "Of /completion: the answer has these fields only, generation_settings/seed for "
         "one within another."},
        read_response_fields},
    RequestField{{"id_slot", "integer", R"({"type": "integer", "minimum": -1})", "-1", kBoth, kBoth,
                  "The slot whose cached text is used, and replaced; the request waits until it is "
                  "free. -1: whichever suits it."},
                 read_slot},
    RequestField{{"cache_prompt", "boolean", R"({"type": "boolean"})", "true", kBoth, kBoth,
                  "Whether what past texts have in common with the prompt is reused; false: it is "
                  "read anew."},
                 set_text_flag<&TextOptions::reuses_prefix>},
};

}  // namespace

std::span<const RequestField> native_field_table() { return kTable; }

}  // namespace gumbelspec::server
