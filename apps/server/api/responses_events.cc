// OpenAI's Responses.
#include <utility>

#include "apps/server/api/chat_events.h"

namespace gumbelspec::server {
namespace {

class ResponsesEvents final : public ChatEvents {
 public:
  ResponsesEvents(const ApiModel& model, const AnswerOptions& options)
      : model_(model), options_(options) {}

  std::string begin(const AnswerSummary& /*so_far*/) override {
    std::string events =
        event("response.created", {{"response", response("in_progress", Json::array())}});
    events += event("response.in_progress", {{"response", response("in_progress", Json::array())}});
    return events;
  }

  [[nodiscard]] bool has_progress() const override { return true; }

  std::string progress(const Json& fields) override {
    Json data{{"response", response("in_progress", Json::array())}};
    data.update(fields);
    return event("response.in_progress", data);
  }

  void set_timings(const Json& timings) override { timings_ = timings; }

  std::string add(const std::vector<MessageDelta>& deltas) override {
    std::string events;
    for (const MessageDelta& delta : deltas) {
      if (!delta.reasoning.empty()) events += add_text(Kind::reasoning, delta.reasoning);
      if (!delta.content.empty()) events += add_text(Kind::message, delta.content);
      if (delta.tool) events += add_call(*delta.tool, delta.call);
    }
    return events;
  }

  std::string end(const ChatEnd& end) override {
    std::string events = close();
    timings_ = end.extra["timings"];
    const char* type = end.is_cut ? "response.incomplete" : "response.completed";
    return events + event(type, {{"response", finished(end, output_)}});
  }

  Json whole(const Message& message, const ChatEnd& end) override {
    (void)add({{message.content, message.reasoning, {}, {}}});
    for (std::size_t i = 0; i < message.tool_calls.size(); ++i) {
      (void)add({{"", "", i, message.tool_calls[i]}});
    }
    (void)close();
    return finished(end, output_);
  }

 private:
  enum class Kind { none, reasoning, message, call };

  std::string event(const char* type, const Json& fields) {
    Json data{{"type", type}, {"sequence_number", n_events_++}};
    data.update(fields);
    if (!timings_.is_null()) data["timings"] = timings_;
    return named_event(data);
  }

  [[nodiscard]] Json response(const char* status, Json output) const {
    return {{"id", "resp_" + options_.id},
            {"object", "response"},
            {"created_at", options_.created},
            {"status", status},
            {"error", nullptr},
            {"incomplete_details", nullptr},
            {"instructions", nullptr},
            {"metadata", Json::object()},
            {"model", model_.id},
            {"output", std::move(output)},
            {"parallel_tool_calls", true},
            {"previous_response_id", nullptr},
            {"store", false},
            {"tool_choice", "auto"},
            {"tools", Json::array()}};
  }

  [[nodiscard]] Json finished(const ChatEnd& end, Json output) const {
    Json out = response(end.is_cut ? "incomplete" : "completed", std::move(output));
    if (end.is_cut) out["incomplete_details"] = {{"reason", "max_output_tokens"}};
    const AnswerSummary& sums = end.summary;
    out["completed_at"] = options_.created;
    out["usage"] = {{"input_tokens", sums.n_prompt},
                    {"input_tokens_details", {{"cached_tokens", sums.n_reused}}},
                    {"output_tokens", sums.n_generated},
                    {"output_tokens_details", {{"reasoning_tokens", 0}}},
                    {"total_tokens", sums.n_prompt + sums.n_generated}};
    out.update(end.extra);
    return out;
  }

  [[nodiscard]] Json place(bool has_part) const {
    Json out{{"item_id", item_["id"]}, {"output_index", output_.size()}};
    if (has_part) out["content_index"] = 0;
    return out;
  }

  std::string place_event(const char* type, bool has_part, const Json& fields) {
    Json all = place(has_part);
    all.update(fields);
    return event(type, all);
  }

  std::string open(Kind kind, Json item) {
    std::string events = close();
    kind_ = kind;
    text_.clear();
    item_ = std::move(item);
    return events +
           event("response.output_item.added", {{"output_index", output_.size()}, {"item", item_}});
  }

  [[nodiscard]] Json part() const {
    if (kind_ == Kind::reasoning) return {{"type", "reasoning_text"}, {"text", text_}};
    return {{"type", "output_text"},
            {"annotations", Json::array()},
            {"logprobs", Json::array()},
            {"text", text_}};
  }

  std::string add_text(Kind kind, const std::string& text) {
    std::string events;
    if (kind_ != kind) {
      const std::string number = options_.id + std::to_string(output_.size());
      events = kind == Kind::reasoning ? open(kind, {{"id", "rs_" + number},
                                                     {"type", "reasoning"},
                                                     {"status", "in_progress"},
                                                     {"summary", Json::array()},
                                                     {"content", Json::array()},
                                                     {"encrypted_content", ""}})
                                       : open(kind, {{"id", "msg_" + number},
                                                     {"type", "message"},
                                                     {"status", "in_progress"},
                                                     {"role", "assistant"},
                                                     {"content", Json::array()}});
      events += place_event("response.content_part.added", true, {{"part", part()}});
    }
    text_ += text;
    if (kind == Kind::reasoning) {
      return events + place_event("response.reasoning_text.delta", true, {{"delta", text}});
    }
    return events + place_event("response.output_text.delta", true,
                                {{"delta", text}, {"logprobs", Json::array()}});
  }

  std::string add_call(std::size_t i, const ToolCall& call) {
    std::string events;
    if (kind_ != Kind::call || call_ != i) {
      events = open(Kind::call, {{"id", "fc_" + call.id},
                                 {"type", "function_call"},
                                 {"status", "in_progress"},
                                 {"arguments", ""},
                                 {"call_id", "call_" + call.id},
                                 {"name", call.name}});
      call_ = i;
    }
    text_ += call.arguments;
    if (call.arguments.empty()) return events;
    return events + place_event("response.function_call_arguments.delta", false,
                                {{"delta", call.arguments}});
  }

  // The item that is open, whole.
  std::string close() {
    if (kind_ == Kind::none) return {};
    std::string events;
    if (kind_ == Kind::call) {
      item_["arguments"] = text_;
      events = place_event("response.function_call_arguments.done", false,
                           {{"name", item_["name"]}, {"arguments", text_}});
    } else {
      item_["content"] = Json::array({part()});
      const bool is_message = kind_ == Kind::message;
      Json done{{"text", text_}};
      if (is_message) done["logprobs"] = Json::array();
      events = place_event(
          is_message ? "response.output_text.done" : "response.reasoning_text.done", true, done);
      events += place_event("response.content_part.done", true, {{"part", part()}});
    }
    item_["status"] = "completed";
    events +=
        event("response.output_item.done", {{"output_index", output_.size()}, {"item", item_}});
    output_.push_back(item_);
    kind_ = Kind::none;
    return events;
  }

  const ApiModel& model_;
  AnswerOptions options_;
  std::size_t n_events_ = 0;
  Json output_ = Json::array();  // items that are whole
  Kind kind_ = Kind::none;       // of the item that is open
  Json timings_;                 // of the events; null: they have none
  Json item_;
  std::string text_;      // of it: text or arguments
  std::size_t call_ = 0;  // the call's number
};

}  // namespace

std::unique_ptr<ChatEvents> responses_events(const ApiModel& model, const AnswerOptions& options) {
  return std::make_unique<ResponsesEvents>(model, options);
}

}  // namespace gumbelspec::server
