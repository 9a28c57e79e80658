// What was said so far, and the prompt that it makes.
#ifndef GUMBELSPEC_APPS_CHAT_CONVERSATION_H_
#define GUMBELSPEC_APPS_CHAT_CONVERSATION_H_

#include <string>
#include <vector>

#include "apps/server/api/api_model.h"

namespace gumbelspec::chat {

// A prompt for the next answer.
struct Prompt {
  std::vector<TokenId> tokens;
  std::string text;  // of all the tokens, control tokens written out
};

// Messages of one user and one model, in the order of the template: perhaps the system's, then the
// user's and the assistant's in turns.
class Conversation {
 public:
  // options: for the template; system: empty: none. Lifetime: the model outlives it.
  Conversation(const server::ApiModel& model, server::ChatOptions options, std::string system);

  [[nodiscard]] const std::vector<server::ChatMessage>& messages() const { return messages_; }
  // Whether an answer is due.
  [[nodiscard]] bool has_question() const;

  // Requires: no answer is due.
  void ask(std::string text);
  // Throws: Error{invalid_prompt} as the template. Requires: an answer is due.
  [[nodiscard]] Prompt prompt() const;
  // The answer to that prompt: its text, without thoughts, and what the model wrote, which the next
  // prompt begins with if the template repeats it, so that a cache knows all but what is new.
  void answer(std::string content, const Prompt& prompt, const std::vector<TokenId>& written,
              const std::string& written_text);
  // The question is taken back. Requires: an answer is due.
  void take_back();
  // The last answer is forgotten, and is due again. Returns: whether there was one.
  [[nodiscard]] bool forget_answer();
  // All but the system's message.
  void clear();

  // The messages as OpenAI writes them: {"messages": [{"role", "content"}, ...]}, in JSON. of_file
  // takes a mere array, too. Throws: Error{invalid_option} with what is wrong; nothing has changed
  // then.
  [[nodiscard]] std::string to_json() const;
  void from_json(const std::string& json);

 private:
  [[nodiscard]] bool repeats_what_is_known() const;

  const server::ApiModel& model_;
  server::ChatOptions options_;
  std::vector<server::ChatMessage> messages_;
  // What the next prompt probably begins with.
  std::vector<TokenId> known_tokens_;
  std::string known_text_;
};

}  // namespace gumbelspec::chat

#endif  // GUMBELSPEC_APPS_CHAT_CONVERSATION_H_
