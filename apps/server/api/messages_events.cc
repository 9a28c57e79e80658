// Anthropic's Messages; and what the other forms of a chat share with it.
#include <algorithm>
#include <utility>

#include "apps/server/api/chat_events.h"

namespace gumbelspec::server {
namespace {

Json parsed_input(const std::string& arguments) {
  Json input = Json::parse(arguments, nullptr, /*allow_exceptions=*/false);
  return input.is_object() ? input : Json::object();
}

class MessagesEvents final : public ChatEvents {
 public:
  MessagesEvents(const ApiModel& model, const AnswerOptions& options)
      : model_(model), id_("msg_" + options.id) {}

  std::string begin(const AnswerSummary& so_far) override {
    return named_event({{"type", "message_start"},
                        {"message", message(Json::array(), nullptr, nullptr, so_far, 0)}});
  }

  std::string add(const std::vector<MessageDelta>& deltas) override {
    std::string events;
    for (const MessageDelta& delta : deltas) {
      if (!delta.reasoning.empty()) {
        events += open(Kind::thinking, {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
        events += delta_event({{"type", "thinking_delta"}, {"thinking", delta.reasoning}});
      }
      if (!delta.content.empty()) {
        events += open(Kind::text, {{"type", "text"}, {"text", ""}});
        events += delta_event({{"type", "text_delta"}, {"text", delta.content}});
      }
      if (delta.tool) events += add_call(*delta.tool, delta.call);
    }
    return events;
  }

  std::string end(const ChatEnd& end) override {
    std::string events = close();
    Json delta{{"type", "message_delta"},
               {"delta",
                {{"stop_reason", stop_reason(end, has_calls_)},
                 {"stop_sequence", end.stop.empty() ? Json(nullptr) : Json(end.stop)}}},
               {"usage", usage(end.summary, end.summary.n_generated)}};
    add_extra(delta, end.extra);
    return events + named_event(delta) + named_event({{"type", "message_stop"}});
  }

  Json whole(const Message& message_given, const ChatEnd& end) override {
    Json content = Json::array();
    if (!message_given.reasoning.empty()) {
      content.push_back(
          {{"type", "thinking"}, {"thinking", message_given.reasoning}, {"signature", ""}});
    }
    if (!message_given.content.empty()) {
      content.push_back({{"type", "text"}, {"text", message_given.content}});
    }
    for (const ToolCall& call : message_given.tool_calls) {
      content.push_back({{"type", "tool_use"},
                         {"id", call.id},
                         {"name", call.name},
                         {"input", parsed_input(call.arguments)}});
    }
    Json out = message(std::move(content), stop_reason(end, !message_given.tool_calls.empty()),
                       end.stop.empty() ? Json(nullptr) : Json(end.stop), end.summary,
                       end.summary.n_generated);
    add_extra(out, end.extra);
    return out;
  }

 private:
  enum class Kind { none, thinking, text, call };

  static Json stop_reason(const ChatEnd& end, bool has_calls) {
    if (end.is_cut) return "max_tokens";
    if (has_calls) return "tool_use";
    return end.stop.empty() ? "end_turn" : "stop_sequence";
  }

  // Anthropic's clients know no timings.
  static void add_extra(Json& json, const Json& extra) { json["gumbelspec"] = extra["gumbelspec"]; }

  static Json usage(const AnswerSummary& sums, std::size_t n_generated) {
    return {{"input_tokens", sums.n_prompt - std::min(sums.n_reused, sums.n_prompt)},
            {"cache_creation_input_tokens", 0},
            {"cache_read_input_tokens", std::min(sums.n_reused, sums.n_prompt)},
            {"output_tokens", n_generated}};
  }

  [[nodiscard]] Json message(Json content, Json reason, Json stop, const AnswerSummary& sums,
                             std::size_t n_generated) const {
    return {{"id", id_},
            {"type", "message"},
            {"role", "assistant"},
            {"content", std::move(content)},
            {"model", model_.id},
            {"stop_reason", std::move(reason)},
            {"stop_sequence", std::move(stop)},
            {"usage", usage(sums, n_generated)}};
  }

  [[nodiscard]] std::string delta_event(const Json& delta) const {
    return named_event({{"type", "content_block_delta"}, {"index", n_blocks_}, {"delta", delta}});
  }

  // Begins a block, unless one of this kind is open already.
  std::string open(Kind kind, const Json& block) {
    if (kind_ == kind) return {};
    std::string events = close();
    kind_ = kind;
    return events +
           named_event(
               {{"type", "content_block_start"}, {"index", n_blocks_}, {"content_block", block}});
  }

  std::string add_call(std::size_t i, const ToolCall& call) {
    std::string events;
    if (kind_ == Kind::call && call_ != i) events = close();
    call_ = i;
    has_calls_ = true;
    events += open(
        Kind::call,
        {{"type", "tool_use"}, {"id", call.id}, {"name", call.name}, {"input", Json::object()}});
    if (call.arguments.empty()) return events;
    return events + delta_event({{"type", "input_json_delta"}, {"partial_json", call.arguments}});
  }

  std::string close() {
    if (kind_ == Kind::none) return {};
    std::string events;
    // Clients expect one; there is nothing to sign here.
    if (kind_ == Kind::thinking) {
      events = delta_event({{"type", "signature_delta"}, {"signature", ""}});
    }
    events += named_event({{"type", "content_block_stop"}, {"index", n_blocks_++}});
    kind_ = Kind::none;
    return events;
  }

  const ApiModel& model_;
  std::string id_;
  Kind kind_ = Kind::none;    // of the block that is open
  std::size_t n_blocks_ = 0;  // that are whole
  std::size_t call_ = 0;
  bool has_calls_ = false;
};

}  // namespace

std::unique_ptr<ChatEvents> messages_events(const ApiModel& model, const AnswerOptions& options) {
  return std::make_unique<MessagesEvents>(model, options);
}

std::unique_ptr<ChatEvents> chat_events(const ApiModel& model, Endpoint endpoint,
                                        const AnswerOptions& options) {
  if (endpoint == Endpoint::responses) return responses_events(model, options);
  if (endpoint == Endpoint::messages) return messages_events(model, options);
  return nullptr;
}

std::string named_event(const Json& data) {
  return "event: " + data["type"].get<std::string>() + "\n" + to_event(data);
}

Json delta_json(const MessageDelta& delta) {
  Json out = Json::object();
  if (!delta.reasoning.empty()) out["reasoning_content"] = delta.reasoning;
  if (!delta.content.empty()) out["content"] = delta.content;
  if (!delta.tool) return out;
  Json call{{"index", *delta.tool}};
  if (!delta.call.id.empty()) {
    call["id"] = delta.call.id;
    call["type"] = "function";
  }
  Json function = Json::object();
  if (!delta.call.name.empty()) function["name"] = delta.call.name;
  if (!delta.call.arguments.empty()) function["arguments"] = delta.call.arguments;
  if (!function.empty()) call["function"] = std::move(function);
  out["tool_calls"] = Json::array({std::move(call)});
  return out;
}

Json message_json(const Message& message) {
  const bool has_calls = !message.tool_calls.empty();
  Json out{
      {"role", "assistant"},
      {"content", has_calls && message.content.empty() ? Json(nullptr) : Json(message.content)},
      {"refusal", nullptr}};
  if (!message.reasoning.empty()) out["reasoning_content"] = message.reasoning;
  if (!has_calls) return out;
  Json calls = Json::array();
  for (const ToolCall& call : message.tool_calls) {
    calls.push_back({{"type", "function"},
                     {"id", call.id},
                     {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  out["tool_calls"] = std::move(calls);
  return out;
}

}  // namespace gumbelspec::server
