#include "src/engine/text_checks.h"

#include <string>

#include "gumbelspec/error.h"

namespace gumbelspec {

void check_prompt(std::span<const TokenId> prompt, const ModelLimits& target) {
  if (prompt.empty()) {
    throw Error(ErrorCode::invalid_prompt,
                "the prompt is empty, but must have at least 1 token; give some text", "prompt");
  }
  for (const TokenId token : prompt) {
    if (static_cast<std::int32_t>(token) >= 0 && index(token) < target.n_vocab) continue;
    throw Error(ErrorCode::invalid_prompt,
                "the prompt has token " + std::to_string(static_cast<std::int32_t>(token)) +
                    ", but the vocabulary ends at " + std::to_string(target.n_vocab - 1) +
                    "; tokenize it with the target's vocabulary",
                "prompt");
  }
  const std::size_t context = target.n_context;
  if (prompt.size() < context) return;
  const std::string too_long = "the prompt has " + std::to_string(prompt.size()) +
                               " tokens, but the context of " + std::to_string(context) +
                               " has room for " + std::to_string(context - 1) + "; shorten it";
  if (context >= target.max_context) {
    throw Error(ErrorCode::prompt_too_long, too_long + ", the model takes no larger context",
                "prompt");
  }
  throw Error(
      ErrorCode::prompt_too_long,
      too_long + " or enlarge the context (n_context), up to " + std::to_string(target.max_context),
      "prompt", "n_context");
}

void check_logit_bias(const SamplingOptions& sampling, std::size_t n_vocab) {
  for (const LogitBias& b : sampling.logit_bias) {
    if (index(b.token) < n_vocab) continue;
    throw Error(ErrorCode::invalid_option,
                "logit_bias has token " + std::to_string(index(b.token)) +
                    ", but the vocabulary ends at " + std::to_string(n_vocab - 1) +
                    "; leave it out",
                "logit_bias");
  }
}

void check_states(const ModelLimits& target, const ModelLimits& draft) {
  if (!draft.is_head() || draft.n_input_state == target.n_state) return;
  throw Error(ErrorCode::invalid_option,
              "the draft head reads hidden states of " + std::to_string(draft.n_input_state) +
                  " numbers, but the target gives " + std::to_string(target.n_state) +
                  "; use a head of this target",
              "draft");
}

}  // namespace gumbelspec
