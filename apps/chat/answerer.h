// The model's side of a conversation: answers, one at a time, with what it has read kept.
#ifndef GUMBELSPEC_APPS_CHAT_ANSWERER_H_
#define GUMBELSPEC_APPS_CHAT_ANSWERER_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gumbelspec/batch.h"
#include "gumbelspec/llama_model.h"

namespace gumbelspec::chat {

struct Answer {
  Outcome outcome = Outcome::running;
  std::vector<TokenId> tokens;  // that the model wrote, without the one that ends it
  Statistics statistics;
  std::size_t n_reused = 0;  // tokens of the prompt that had been read before
};

// Threads: one at a time. Lifetime: the models outlive it.
class Answerer {
 public:
  Answerer(LlamaModel& target, LanguageModel* draft, const BatchOptions& options)
      : batch_(target, draft, options) {}

  // on_token: as soon as it is known; false ends the answer (Outcome::stop). on_prompt: how much of
  // the prompt is read. is_stopped: asked between passes; true ends the answer likewise.
  // Throws: Error as Batch::add(), and where a pass fails.
  [[nodiscard]] Answer run(std::span<const TokenId> prompt, const TextOptions& options,
                           const std::function<bool(const GeneratedToken&)>& on_token,
                           const std::function<void(std::size_t, std::size_t)>& on_prompt,
                           const std::function<bool()>& is_stopped);

 private:
  Batch batch_;
};

}  // namespace gumbelspec::chat

#endif  // GUMBELSPEC_APPS_CHAT_ANSWERER_H_
