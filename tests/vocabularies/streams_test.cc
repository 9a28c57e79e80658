// What comes out of a text while it is generated, token by token, with the vocabularies of real
// models: whole characters, and nothing of a stop string.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "apps/common/utf8_stream.h"
#include "apps/server/api/text_stream.h"
#include "src/llama/vocabulary.h"
#include "tests/vocabularies/naive_utf8.h"
#include "tests/vocabularies/odd_strings.h"
#include "tests/vocabularies/vocabulary_files.h"

namespace gumbelspec::testing {
namespace {

using Pieces = std::vector<std::string>;

class VocabularyStreams : public ::testing::TestWithParam<VocabularyFile> {
 protected:
  VocabularyStreams() : model_(load_vocabulary(GetParam())) {}

  [[nodiscard]] const llama_vocab* vocab() const { return llama_model_get_vocab(model_.get()); }

  [[nodiscard]] Pieces pieces_of(const std::string& text) const {
    Pieces pieces;
    for (const TokenId token : internal::tokenize(vocab(), text, {.adds_special = false})) {
      pieces.push_back(internal::piece_of(vocab(), token));
    }
    return pieces;
  }
  // As a model without sense writes; parts of characters are far more frequent than in texts.
  [[nodiscard]] Pieces random_pieces(std::mt19937& random, std::size_t n) const {
    const auto n_vocab = static_cast<std::size_t>(llama_vocab_n_tokens(vocab()));
    Pieces pieces;
    while (pieces.size() < n) {
      std::string piece = internal::piece_of(vocab(), token_id(random() % n_vocab));
      const bool is_part = apps::first_invalid_utf8(piece).has_value();
      if (is_part || random() % 8 == 0) pieces.push_back(std::move(piece));
    }
    return pieces;
  }

 private:
  internal::LlamaModelPtr model_;
};
INSTANTIATE_TEST_SUITE_P(LlamaCpp, VocabularyStreams,
                         ::testing::ValuesIn(generating_vocabularies()), test_name);

std::string joined(const Pieces& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return text;
}

// Streams the pieces. Returns: how many of them end inside a character.
std::size_t expect_whole_characters(const Pieces& pieces) {
  apps::Utf8Stream stream;
  std::string out;
  std::string bytes;
  std::size_t n_held = 0;
  for (const std::string& piece : pieces) {
    const std::string more = stream.append(piece);
    EXPECT_EQ(naive_utf8(more), more) << ::testing::PrintToString(piece);
    out += more;
    bytes += piece;
    EXPECT_EQ(out, naive_utf8(bytes, /*is_over=*/false));
    n_held += out != naive_utf8(bytes) ? 1U : 0U;
  }
  out += stream.finish();
  EXPECT_EQ(out, naive_utf8(joined(pieces)));
  return n_held;
}

TEST_P(VocabularyStreams, GiveOutWholeCharactersOnly) {
  std::mt19937 random(1);
  std::size_t n_held = 0;
  for (const std::string& text : odd_strings(200))
    n_held += expect_whole_characters(pieces_of(text));
  for (int i = 0; i < 50; ++i) n_held += expect_whole_characters(random_pieces(random, 40));
  EXPECT_GT(n_held, 100U) << "no character was ever split";
}

// Where the text ends if it is read token by token: at the first stop string of those that the
// first token completes any of. Looks at all of the text each time.
std::string naive_cut(const Pieces& pieces, const std::vector<std::string>& stops) {
  std::string bytes;
  for (const std::string& piece : pieces) {
    bytes += piece;
    const std::string text = naive_utf8(bytes, /*is_over=*/false);
    std::size_t first = std::string::npos;
    for (const std::string& stop : stops) first = std::min(first, text.find(stop));
    if (first != std::string::npos) return text.substr(0, first);
  }
  return naive_utf8(bytes);
}

// A few characters of the text from anywhere, mostly over the borders of tokens.
std::string some_stop(std::mt19937& random, const std::string& text) {
  std::vector<std::size_t> begins;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) begins.push_back(i);
  }
  begins.push_back(text.size());
  const std::size_t first = random() % (begins.size() - 1);
  const std::size_t last = std::min(begins.size() - 1, first + 1 + random() % 12);
  return text.substr(begins[first], begins[last] - begins[first]);
}

void expect_stops(std::mt19937& random, const Pieces& pieces,
                  const std::vector<std::string>& stops) {
  server::TextStream stream(stops);
  const std::string expected = naive_cut(pieces, stops);
  std::string out;
  for (const std::string& piece : pieces) {
    const bool goes_on = stream.append(piece);
    if (random() % 3 > 0 || !goes_on) out += stream.take();
    ASSERT_EQ(expected.substr(0, out.size()), out) << "more than the text, or another one";
    if (!goes_on) break;
  }
  stream.finish();
  out += stream.take();
  EXPECT_EQ(out, expected);
}

TEST_P(VocabularyStreams, EndBeforeStopStringsOverSeveralTokens) {
  std::mt19937 random(2);
  const std::vector<std::string> texts = odd_strings(700);
  for (std::size_t i = 0; i < 400; ++i) {
    const Pieces pieces = i % 2 == 0 ? random_pieces(random, 30)
                                     : pieces_of(texts[300 + i] + texts[i] + texts[299 + i]);
    const std::string text = naive_utf8(joined(pieces));
    if (text.empty()) continue;
    std::vector<std::string> stops = {some_stop(random, text)};
    // One that overlaps it, one that begins like it and goes on otherwise.
    if (i % 3 > 0) stops.push_back(some_stop(random, stops[0]));
    if (i % 3 > 1) stops.push_back(stops[0] + "\xC3\xA9~");
    expect_stops(random, pieces, stops);
  }
}

}  // namespace
}  // namespace gumbelspec::testing
