// Messages to a prompt, as the model was trained to read them.
#ifndef GUMBELSPEC_APPS_SERVER_API_CHAT_TEMPLATE_H_
#define GUMBELSPEC_APPS_SERVER_API_CHAT_TEMPLATE_H_

#include <memory>
#include <string>
#include <vector>

namespace gumbelspec::server {

struct ChatMessage {
  std::string role;
  std::string content;
};

// A part of a prompt. What users wrote must not be read as control tokens, even if it looks so.
struct PromptPart {
  std::string text;
  bool is_input = false;
};

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
  // cannot be read is no reason to do without the model: only render() fails then.
  ChatTemplate(std::string source, std::string bos, std::string eos, bool has_chatml = false);
  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // Throws: Error{invalid_prompt} with the template's own complaint, or with why_unreadable().
  [[nodiscard]] std::vector<PromptPart> render(const std::vector<ChatMessage>& messages,
                                               const ChatOptions& options = {}) const;

  // The Jinja that is used.
  [[nodiscard]] const std::string& source() const;
  [[nodiscard]] const std::string& bos() const;
  [[nodiscard]] const std::string& eos() const;
  // "model", "chatml", "plain" or "unreadable".
  [[nodiscard]] const char* origin() const;
  // Empty if it can be read.
  [[nodiscard]] const std::string& why_unreadable() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_CHAT_TEMPLATE_H_
