// Answers to a chat in other forms than that of /v1/chat/completions.
#ifndef GUMBELSPEC_APPS_SERVER_API_CHAT_EVENTS_H_
#define GUMBELSPEC_APPS_SERVER_API_CHAT_EVENTS_H_

#include <memory>
#include <string>
#include <vector>

#include "apps/server/api/answer.h"
#include "apps/server/api/chat_format.h"
#include "apps/server/api/json_text.h"

namespace gumbelspec::server {

struct ChatEnd {
  bool is_cut = false;    // at the limit of tokens
  std::string stop = {};  // the client's stop string that ended it; empty: none
  AnswerSummary summary = {};
  Json extra = Json::object();  // this server's own fields
};

// One answer.
class ChatEvents {
 public:
  virtual ~ChatEvents() = default;
  // Ready events, perhaps several.
  [[nodiscard]] virtual std::string begin(const AnswerSummary& so_far) = 0;
  // Whether the form has a place for what is told of a prompt that is being read, and of the times
  // of a text under way. Where not, the next two are never called.
  [[nodiscard]] virtual bool has_progress() const { return false; }
  // fields: prompt_progress, and timings where they are asked for.
  [[nodiscard]] virtual std::string progress(const Json& /*fields*/) { return {}; }
  // timings: the events of add() have them from now on.
  virtual void set_timings(const Json& /*timings*/) {}
  [[nodiscard]] virtual std::string add(const std::vector<MessageDelta>& deltas) = 0;
  [[nodiscard]] virtual std::string end(const ChatEnd& end) = 0;
  // The answer to a request without stream.
  [[nodiscard]] virtual Json whole(const Message& message, const ChatEnd& end) = 0;
};

// Null for endpoints that have no form of their own.
[[nodiscard]] std::unique_ptr<ChatEvents> chat_events(const ApiModel& model, Endpoint endpoint,
                                                      const AnswerOptions& options);
[[nodiscard]] std::unique_ptr<ChatEvents> responses_events(const ApiModel& model,
                                                           const AnswerOptions& options);
[[nodiscard]] std::unique_ptr<ChatEvents> messages_events(const ApiModel& model,
                                                          const AnswerOptions& options);

// "event: NAME\ndata: {...}\n\n", NAME being the data's type.
[[nodiscard]] std::string named_event(const Json& data);

// Of /v1/chat/completions: what a message has got, and a message.
[[nodiscard]] Json delta_json(const MessageDelta& delta);
[[nodiscard]] Json message_json(const Message& message);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_CHAT_EVENTS_H_
