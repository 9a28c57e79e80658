// A given text through a model in passes of several kinds: a prompt, a pass over many tokens,
// passes over one, and passes over trees. The rows along the text are looked at.
#ifndef GUMBELSPEC_APPS_CLI_FORCED_PASSES_H_
#define GUMBELSPEC_APPS_CLI_FORCED_PASSES_H_

#include <array>
#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "gumbelspec/language_model.h"

namespace gumbelspec::apps::cli {

enum class PassKind { many, single, tree };
inline constexpr std::array<std::string_view, 3> kPassKinds = {"one pass over many tokens",
                                                               "single tokens", "trees"};

// The places of the text at which one kind of pass ends and the next begins.
struct ForcedText {
  std::vector<TokenId> tokens;
  std::size_t n_prompt = 0;  // read at once, without rows
  std::size_t many_end = 0;
  std::size_t single_end = 0;
};

// As long as the model allows, of at most n tokens. Repeats what it is given if that is shorter.
// Throws: Error{invalid_option} where the context is too short for any.
[[nodiscard]] ForcedText forced_text(std::span<const TokenId> tokens, std::size_t n,
                                     const ModelLimits& limits);

// row: the logits after tokens[position].
using SeeRow = std::function<void(std::size_t position, PassKind kind, std::span<const float> row)>;

// All kinds; a model that cannot branch gets chains for trees. Trees have a wrong sibling, itself
// with a wrong child, beside every token of the text, and are accepted in part only, so that the
// cells of the text end up scattered.
// Throws: Error; Stopped.
void force_all_kinds(LanguageModel& model, const ForcedText& text, const SeeRow& see);

// Behind the prompt one token at a time, as plain decoding goes.
void force_singly(LanguageModel& model, const ForcedText& text, const SeeRow& see);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_FORCED_PASSES_H_
