// Messages to a prompt, as the model was trained to read them.
#ifndef GUMBELSPEC_APPS_SERVER_API_CHAT_TEMPLATE_H_
#define GUMBELSPEC_APPS_SERVER_API_CHAT_TEMPLATE_H_

#include <memory>
#include <string>
#include <vector>

#include "apps/llama_common/chat_engine.h"

namespace gumbelspec::server {

struct ChatMessage {
  std::string role;
  std::string content;
};

using llama_common::ChatPrompt;
using llama_common::ChatRequest;
using llama_common::PromptPart;

struct ChatOptions {
  bool adds_generation_prompt = true;  // the beginning of the assistant's answer
  std::string extra = {};  // a JSON object: more variables for the template, e.g. enable_thinking
};

// Threads: any number at once.
class ChatTemplate {
 public:
  // source: Jinja, of the model file's tokenizer.chat_template; empty: ChatML where has_chatml says
  // that the vocabulary has its control tokens, else lines of "Role: text". bos, eos: those tokens'
  // texts, for the template; bos is not part of the prompt, the tokenizer adds it. A source that
  // cannot be read is no reason to do without the model: only apply() fails then.
  ChatTemplate(std::string source, std::string bos, std::string eos, bool has_chatml = false);
  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // Throws: Error{invalid_prompt} with the template's own complaint, or with why_unreadable().
  [[nodiscard]] ChatPrompt apply(const ChatRequest& request) const;
  // The prompt of a conversation in words alone. Throws: as apply().
  [[nodiscard]] std::vector<PromptPart> render(const std::vector<ChatMessage>& messages,
                                               const ChatOptions& options = {}) const;
  // Whether its answers can call tools.
  [[nodiscard]] bool calls_tools() const;

  // The Jinja that is used.
  [[nodiscard]] const std::string& source() const { return source_; }
  [[nodiscard]] const std::string& bos() const { return bos_; }
  [[nodiscard]] const std::string& eos() const { return eos_; }
  // "model", "chatml", "plain" or "unreadable".
  [[nodiscard]] const char* origin() const { return origin_; }
  // Empty if it can be read.
  [[nodiscard]] const std::string& why_unreadable() const { return why_unreadable_; }

 private:
  const char* origin_;
  std::string why_unreadable_ = {};
  std::string source_;
  std::string bos_;
  std::string eos_;
  std::unique_ptr<llama_common::ChatEngine> engine_;  // null: unreadable
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_CHAT_TEMPLATE_H_
