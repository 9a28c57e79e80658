// Drafts with another vocabulary, between the tokenizers of real models.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "gumbelspec/pair.h"
#include "gumbelspec/session.h"
#include "src/engine/translated_text.h"
#include "tests/llama/llama_fixture.h"
#include "tests/vocabularies/vocabulary_files.h"

namespace gumbelspec::testing {
namespace {

constexpr const char* kNames[] = {"deepseek-coder", "llama-spm", "qwen2", "gpt-2"};

struct Loaded {
  std::unique_ptr<LlamaModel> model;
  std::shared_ptr<TokenTexts> texts;
};

const Loaded& loaded(const std::string& name) {
  static std::map<std::string, Loaded> all;
  Loaded& own = all[name];
  if (own.model) return own;
  for (const VocabularyFile& file : all_vocabularies()) {
    if (file.name == name) own.model = load_tiny(tiny_model_with(file));
  }
  own.texts = token_texts(*own.model);
  return own;
}

const std::string kText =
    "It's 12345 o'clock, said the clock\xE2\x80\x99s maker;\n\n  \"caf\xC3\xA9\" "
    "\xE4\xBD\xA0\xE5\xA5\xBD "
    "\xF0\x9F\x98\x80 isn't\tfar.\nint main(int argc, char** argv) { return argc > 1 ? 0 : 17; }\n"
    "    unbelievable   hyperparameters    and tokenizers are everywhere, aren't they?  "
    "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82 \xD0\xBC\xD0\xB8\xD1\x80 - 3 > 2  ";

// Reads the tokens a few at a time. Returns: tokens that the draft read in all.
std::size_t read_in_pieces(std::span<const TokenId> tokens, std::mt19937& random,
                           TranslatedText& text) {
  std::size_t n_read = 0;
  while (!tokens.empty()) {
    const std::size_t n = std::min<std::size_t>(1 + random() % 5, tokens.size());
    for (const TokenId token : tokens.first(n)) text.append(token);
    tokens = tokens.subspan(n);
    std::size_t n_kept = 0;
    std::vector<ReadToken> missing;
    text.plan(n_kept, missing);
    text.drop_read(n_kept);
    for (const ReadToken& read : missing) text.add_read(read);
    text.set_settled(text.n_bytes());
    n_read += missing.size();
  }
  return n_read;
}

std::vector<std::string> texts_of(const TokenTexts& texts, std::span<const ReadToken> tokens) {
  std::vector<std::string> out;
  for (const ReadToken& token : tokens) out.push_back(texts.token(token.token).text);
  return out;
}

void expect_its_own_view(const Loaded& target, const Loaded& draft, std::mt19937& random) {
  VocabularyMap map(target.texts, draft.texts);
  ASSERT_FALSE(map.is_by_id());
  const std::vector<TokenId> tokens = target.texts->tokenize(kText);
  std::string bytes;
  for (const TokenId t : tokens) bytes += target.texts->token(t).text;
  std::vector<ReadToken> split;
  map.draft_tokenizer().split(bytes, 0, /*is_first=*/true, split);
  const std::vector<std::string> expected = texts_of(*draft.texts, split);
  EXPECT_GT(expected.size(), 50U);
  const std::size_t n_begin = draft.texts->beginning().size();
  for (int trial = 0; trial < 10; ++trial) {
    TranslatedText text(map);
    const std::size_t n_read = read_in_pieces(tokens, random, text);
    const std::vector<std::string> got = texts_of(*draft.texts, text.read().subspan(n_begin));
    const auto [a, b] = std::mismatch(got.begin(), got.end(), expected.begin(), expected.end());
    ASSERT_EQ(std::vector(a, got.end()), std::vector(b, expected.end()));
    EXPECT_LT(n_read, 6 * expected.size()) << "only what has changed is read again";
  }
}

// What the draft has read is its own tokenizer's view of all bytes, however the text came.
TEST(Translated, DraftsReadTextsAsTheirOwnTokenizersHaveThem) {
  std::mt19937 random(2);
  constexpr std::size_t kMost = std::size(kNames);
  for (std::size_t i = 0; i < kMost; ++i) {
    const char* of_draft = kNames[(i + 1) % kMost];
    SCOPED_TRACE(std::string(kNames[i]) + " read by " + of_draft);
    expect_its_own_view(loaded(kNames[i]), loaded(of_draft), random);
  }
}

// A text that the tokenizer gives as it is, is split as the tokenizer splits it.
TEST(Translated, SplitsTextsAsTheTokenizerDoes) {
  for (const char* name : kNames) {
    const Loaded& own = loaded(name);
    const ByteTokenizer tokenizer(*own.texts);
    for (const std::string text : {"Hello world", " and so on", "caf\xC3\xA9"}) {
      std::vector<ReadToken> read;
      tokenizer.split(text, 0, text.front() != ' ', read);
      std::vector<TokenId> tokens;
      for (const ReadToken& r : read) tokens.push_back(r.token);
      const bool is_spaced = own.texts->token(own.texts->tokenize("a")[0]).text == " a";
      const std::string given = is_spaced && text.front() == ' ' ? text.substr(1) : text;
      EXPECT_EQ(tokens, own.texts->tokenize(given)) << name << ": " << text;
      EXPECT_EQ(read.back().end, text.size());
    }
  }
}

TEST(Translated, NoTextDependsOnADraftOfAnotherFamily) {
  for (const auto& [of_target, of_draft] :
       {std::pair{"qwen2", "llama-spm"}, std::pair{"llama-spm", "gpt-2"}}) {
    LlamaModel& target = *loaded(of_target).model;
    const TranslatedDraft draft = translate_draft(target, *loaded(of_draft).model);
    ASSERT_NE(draft.model, nullptr);
    EXPECT_FALSE(draft.likeness.is_alike());
    EXPECT_GT(draft.likeness.n_same_texts, 1000U);
    const std::vector<TokenId> prompt = target.tokenize("The old house, 123 \xE4\xBD\xA0");
    std::vector<std::vector<TokenId>> texts;
    for (const char* method : {"ar", "gumbel-beam", "gumbel-tree"}) {
      Session session(target, draft.model.get(),
                      {.method = parse_method(method), .seed = 3, .max_tokens = 12});
      Outcome outcome = session.start(prompt);
      while (outcome == Outcome::running) outcome = session.step();
      texts.emplace_back(session.text().begin(), session.text().end());
    }
    EXPECT_EQ(texts[0], texts[1]);
    EXPECT_EQ(texts[0], texts[2]);
  }
}

}  // namespace
}  // namespace gumbelspec::testing
