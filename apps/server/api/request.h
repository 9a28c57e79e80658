// The body of a POST to a completion endpoint, read and checked.
#ifndef GUMBELSPEC_APPS_SERVER_API_REQUEST_H_
#define GUMBELSPEC_APPS_SERVER_API_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/api/api_error.h"
#include "apps/server/api/api_model.h"
#include "apps/server/api/chat_format.h"
#include "apps/server/api/native_options.h"
#include "gumbelspec/text_options.h"
#include "gumbelspec/token_constraint.h"
#include "gumbelspec/types.h"

namespace gumbelspec::server {

// native: llama.cpp's /completion, which asks as completions does and is answered otherwise.
// infill: that of /infill, with a gap instead of a prompt. responses, messages: OpenAI's and
// Anthropic's newer forms of a chat.
enum class Endpoint { completions, chat, native, infill, responses, messages };

// Whether its requests have messages.
[[nodiscard]] constexpr bool is_chat(Endpoint endpoint) {
  return endpoint == Endpoint::chat || endpoint == Endpoint::responses ||
         endpoint == Endpoint::messages;
}

struct ParsedRequest {
  Endpoint endpoint = Endpoint::completions;
  std::vector<std::vector<TokenId>> prompts;  // at least one, none empty, each fits the context
  std::vector<std::string> prompt_texts;      // [prompts.size()] where the answer has them
  int n = 1;                                  // choices for each prompt, [1, 16]
  bool stream = false;
  bool includes_usage = false;  // stream_options.include_usage
  std::vector<std::string> stop = {};
  std::optional<std::uint64_t> seed = {};  // none: the caller draws one, below 2^53 so that
                                           // JavaScript's numbers can hold it
  // What each of its texts asks for. The seed, the stream and the grammar's matcher are a text's
  // own (text_options()).
  TextOptions text = {};
  // Also of response_format; null: none. Compiled here, where the request is read, and matched by
  // each of its texts where they are generated.
  std::shared_ptr<const Grammar> grammar = {};
  bool echo = false;
  bool traces = false;  // gumbelspec_trace
  NativeOptions native = {};
  // How a chat's answers are read; null: as they are.
  std::shared_ptr<const ChatFormat> chat = {};
  std::size_t n_template_stops = 0;  // the last ones of stop, which the client did not give

  // echo with logprobs: the prompt's tokens have theirs.
  [[nodiscard]] bool scores_prompts() const { return echo && text.n_logprobs >= 0; }

  // Texts that it asks for: for each prompt n.
  [[nodiscard]] std::size_t n_texts() const { return prompts.size() * static_cast<std::size_t>(n); }
};

// Bytes of a body that are looked at; the same for all endpoints.
inline constexpr std::size_t kMaxBodyBytes = std::size_t{8} << 20U;
inline constexpr int kMaxJsonDepth = 64;
inline constexpr int kMaxChoices = 16;
inline constexpr std::size_t kMaxTexts = 64;  // of one request: prompts times n

// Unknown fields are ignored, unless the model says otherwise; those of other servers that would
// change the text are refused (unsupported_fields.h). Threads: any number at once. Cost: tokenizes
// the prompt. Throws: ApiError, with the field in param().
[[nodiscard]] ParsedRequest parse_completion(std::string_view body, const ApiModel& model);
[[nodiscard]] ParsedRequest parse_chat(std::string_view body, const ApiModel& model);
[[nodiscard]] ParsedRequest parse_native(std::string_view body, const ApiModel& model);
// Also for the other forms of a chat, which are read as llama.cpp's server reads them.
[[nodiscard]] ParsedRequest parse_request(std::string_view body, const ApiModel& model,
                                          Endpoint endpoint);

// The text that a chat's messages become. Throws: ApiError.
[[nodiscard]] std::string chat_prompt(std::string_view body, const ApiModel& model);

// A field of these bodies: the one source of the parser, of docs/server.md and docs/openapi.json.
struct FieldDoc {
  std::string_view name;
  std::string_view type;           // e.g. "integer", "string or array of strings"
  std::string_view schema;         // the same as a JSON schema
  std::string_view default_value;  // "" where it is required or has none
  bool in_completions = false;
  bool in_chat = false;
  std::string_view description;  // a sentence or two, with the limits
};
[[nodiscard]] std::span<const FieldDoc> request_fields();

// An endpoint's fields as a JSON schema, which stands in docs/openapi.json.
[[nodiscard]] std::string request_schema(Endpoint endpoint);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_REQUEST_H_
