// A request while its fields are being read, and the table of them.
#ifndef GUMBELSPEC_APPS_SERVER_API_REQUEST_READING_H_
#define GUMBELSPEC_APPS_SERVER_API_REQUEST_READING_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/server/api/field_value.h"
#include "apps/server/api/request.h"

namespace gumbelspec::server {

inline constexpr int kMaxLogprobs = 20;
inline constexpr std::size_t kMaxStops = 16;
inline constexpr std::size_t kMaxStopBytes = 1024;
inline constexpr std::size_t kMaxBiases = 4096;
inline constexpr std::size_t kMaxMessages = 1024;

struct RequestReading {
  const ApiModel& model;
  ParsedRequest request = {};
  // What has to wait for other fields.
  std::vector<ChatMessage> messages = {};
  ChatOptions chat = {};
  bool wants_logprobs = false;  // chat: "logprobs"
  std::optional<int> n_top_logprobs = {};
  std::optional<Guarantee> guarantee = {};
  std::string max_tokens_name = {};  // the field that set it
  std::string gbnf = {};             // of grammar or response_format; empty: none
  std::string grammar_name = {};     // which of them
};

// Reads one field into the request. Throws: ApiError.
using ReadField = void (*)(RequestReading&, const FieldValue&);

struct RequestField {
  FieldDoc doc;
  ReadField read;
};

// In the order in which they are read and documented.
[[nodiscard]] std::span<const RequestField> request_field_table();

// The fields that take more than a line.
void read_prompt(RequestReading& reading, const FieldValue& value);
void read_messages(RequestReading& reading, const FieldValue& value);
void read_logit_bias(RequestReading& reading, const FieldValue& value);
void read_response_format(RequestReading& reading, const FieldValue& value);

// The messages as a prompt. Throws: ApiError.
void render_messages(RequestReading& reading);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_REQUEST_READING_H_
