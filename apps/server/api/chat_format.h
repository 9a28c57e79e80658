// How the answers of a chat are read: reasoning and tool calls are parts of the text, in a form
// that the chat template knows.
#ifndef GUMBELSPEC_APPS_SERVER_API_CHAT_FORMAT_H_
#define GUMBELSPEC_APPS_SERVER_API_CHAT_FORMAT_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/llama_common/chat_engine.h"
#include "gumbelspec/types.h"

namespace gumbelspec::server {

using llama_common::Message;
using llama_common::MessageDelta;
using llama_common::ToolCall;

struct ChatFormat {
  std::shared_ptr<const llama_common::AnswerFormat> format;
  // Control tokens that are part of an answer's text, which are mostly dropped.
  std::map<TokenId, std::string> written = {};
};

// Seconds, of a steady clock.
using SecondsClock = std::function<double()>;

// A message while its text comes. llama.cpp's parsers read a text from its beginning each time, so
// it is read again only when that takes a small part of the time: what has come meanwhile is told
// with the next text that comes later. Cost: a fiftieth of the time, and one reading at the end.
class ChatMessageStream {
 public:
  // format: null: the text is the content. id: of the answer and the choice; the calls' ids begin
  // with it where the model gives them none. clock: empty: the machine's.
  ChatMessageStream(std::shared_ptr<const ChatFormat> format, std::string id,
                    SecondsClock clock = {});

  // More text. Returns: what the message has got since it was last read, nothing where that was a
  // moment ago.
  [[nodiscard]] std::vector<MessageDelta> add(const std::string& text);
  // The last text. A text that is not of the format is content as it is.
  [[nodiscard]] std::vector<MessageDelta> finish(const std::string& text);
  [[nodiscard]] const Message& message() const { return message_; }

 private:
  void append(const std::string& text);
  [[nodiscard]] std::vector<MessageDelta> add_content(const std::string& text);
  [[nodiscard]] bool is_due() const;
  [[nodiscard]] std::vector<MessageDelta> read(bool is_partial);
  void set_ids(Message& message);

  std::shared_ptr<const ChatFormat> format_;
  std::string id_;
  SecondsClock clock_;
  double read_s_ = 0.0;     // when the text was last read
  double reading_s_ = 0.0;  // and how long that took
  std::string text_;
  std::size_t depth_ = 0;     // brackets that are open
  bool is_too_deep_ = false;  // for a reader that calls itself
  std::vector<std::string> ids_;
  Message begun_;  // what the answer goes on with, which is no part of it
  Message message_;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_CHAT_FORMAT_H_
