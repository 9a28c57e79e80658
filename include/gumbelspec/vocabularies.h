// Targets and drafts of different vocabularies.
#ifndef GUMBELSPEC_VOCABULARIES_H_
#define GUMBELSPEC_VOCABULARIES_H_

#include <memory>
#include <string>

#include "gumbelspec/llama_model.h"
#include "gumbelspec/translated_model.h"

namespace gumbelspec {

// Lifetime: the model outlives it.
[[nodiscard]] std::unique_ptr<TokenTexts> token_texts(const LlamaModel& model);

// A draft of another vocabulary, as the target needs it.
struct TranslatedDraft {
  std::unique_ptr<LanguageModel> model;  // null: the two share a vocabulary
  VocabularyLikeness likeness = {};      // where they do not
};

// Throws: Error{vocabulary_mismatch} where the draft is a head, or cannot drop what it read.
// Lifetime: both outlive the result.
[[nodiscard]] TranslatedDraft translate_draft(const LlamaModel& target, LlamaModel& draft);

// One line: how many ids agree, and what is done with the others.
[[nodiscard]] std::string to_string(const VocabularyLikeness& likeness);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_VOCABULARIES_H_
