#include "tests/vocabularies/round_trip.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "gguf.h"
#include "src/llama/utf8.h"
#include "src/llama/vocabulary.h"

namespace gumbelspec::testing {
namespace {

constexpr const char* kLowLine = "\xE2\x96\x81";  // U+2581

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string without(std::string text, const std::string& bytes) {
  text.erase(std::remove_if(text.begin(), text.end(),
                            [&](char c) { return bytes.find(c) != std::string::npos; }),
             text.end());
  return text;
}

// GPT-2's way to write bytes: those that print as themselves, the others from U+0100 on.
std::map<std::string, char> make_byte_letters() {
  std::map<std::string, char> letters;
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool prints =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const unsigned c = prints ? byte : next++;
    const std::string letter = c < 0x80 ? std::string(1, static_cast<char>(c))
                                        : std::string{static_cast<char>(0xC0U | (c >> 6U)),
                                                      static_cast<char>(0x80U | (c & 0x3FU))};
    letters[letter] = static_cast<char>(byte);
  }
  return letters;
}

const std::map<std::string, char>& byte_letters() {
  static const std::map<std::string, char> kLetters = make_byte_letters();
  return kLetters;
}

// Bytes that no token of a byte-pair vocabulary stands for.
std::string missing_bytes(const llama_vocab* vocab) {
  std::set<std::string> texts;
  for (llama_token i = 0; i < llama_vocab_n_tokens(vocab); ++i) {
    texts.insert(llama_vocab_get_text(vocab, i));
  }
  std::string missing;
  if (llama_vocab_type(vocab) != LLAMA_VOCAB_TYPE_BPE || texts.count("<0xFF>") > 0) return missing;
  for (const auto& [letter, byte] : byte_letters()) {
    if (texts.count(letter) == 0) missing += byte;
  }
  return missing;
}

const char* type_name(const llama_vocab* vocab) {
  switch (llama_vocab_type(vocab)) {
    case LLAMA_VOCAB_TYPE_SPM:
      return "SentencePiece";
    case LLAMA_VOCAB_TYPE_BPE:
      return "byte pairs";
    case LLAMA_VOCAB_TYPE_WPM:
      return "WordPiece";
    case LLAMA_VOCAB_TYPE_UGM:
      return "unigram";
    default:
      return "another";
  }
}

std::vector<llama_token> llama_tokens(const llama_vocab* vocab, const std::string& text,
                                      bool parse_special) {
  std::vector<llama_token> tokens(4 * text.size() + 16);
  const int n =
      llama_tokenize(vocab, text.data(), static_cast<std::int32_t>(text.size()), tokens.data(),
                     static_cast<std::int32_t>(tokens.size()), false, parse_special);
  tokens.resize(static_cast<std::size_t>(std::max(n, 0)));
  return tokens;
}

std::string llama_text(const llama_vocab* vocab, const std::vector<llama_token>& tokens) {
  std::string text(1024 * tokens.size() + 64, '\0');
  const int n = llama_detokenize(vocab, tokens.data(), static_cast<std::int32_t>(tokens.size()),
                                 text.data(), static_cast<std::int32_t>(text.size()), false, false);
  text.resize(static_cast<std::size_t>(std::max(n, 0)));
  return text;
}

bool same(const std::vector<TokenId>& ours, const std::vector<llama_token>& theirs) {
  return std::equal(
      ours.begin(), ours.end(), theirs.begin(), theirs.end(),
      [](TokenId left, llama_token right) { return static_cast<llama_token>(left) == right; });
}

std::string text_of(const llama_vocab* vocab, const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) text += internal::piece_of(vocab, token);
  return text;
}

void compare(RoundTrip& sums, const llama_vocab* vocab, const std::string& text) {
  const auto tokens = internal::tokenize(vocab, text, {.adds_special = false});
  const auto theirs = llama_tokens(vocab, text, false);
  if (!same(tokens, theirs)) sums.wrong.push_back("tokens of " + internal::printable(text));
  if (!same(internal::tokenize(vocab, text, {.adds_special = false, .reads_control = true}),
            llama_tokens(vocab, text, true))) {
    sums.wrong.push_back("tokens, with control tokens, of " + internal::printable(text));
  }
  const std::string back = text_of(vocab, tokens);
  // llama.cpp takes the first space away where the vocabulary puts one there.
  const std::string theirs_back = llama_text(vocab, theirs);
  if (back != theirs_back && back != " " + theirs_back) {
    ++sums.n_cleaned;
    if (without(back, " ") != without(theirs_back, " ")) {
      sums.wrong.push_back("pieces of " + internal::printable(text));
    }
  }
  ++sums.n_strings;
  const std::string spaced = replaced(text, kLowLine, " ");
  const std::string dropped = without(text, sums.missing);
  if (back == text) {
    ++sums.n_same;
  } else if (back == " " + text) {
    ++sums.n_prefixed;
  } else if (back == spaced || back == " " + spaced) {
    ++sums.n_spaced;
  } else if (back == dropped) {
    ++sums.n_dropped;
  } else {
    ++sums.n_changed;
  }
}

// What the file's text of a normal token stands for.
std::string decoded(const std::string& text, bool is_spaced) {
  if (is_spaced) return replaced(text, kLowLine, " ");
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t n = 1;
    while (i + n < text.size() && (static_cast<unsigned char>(text[i + n]) & 0xC0U) == 0x80U) ++n;
    const auto letter = byte_letters().find(text.substr(i, n));
    if (letter == byte_letters().end()) return text;  // not written in bytes
    out += letter->second;
    i += n;
  }
  return out;
}

}  // namespace

RoundTrip round_trip(const VocabularyFile& file, const std::vector<std::string>& texts) {
  const internal::LlamaModelPtr model = load_vocabulary(file);
  const llama_vocab* vocab = llama_model_get_vocab(model.get());
  RoundTrip sums;
  sums.type = type_name(vocab);
  sums.n_tokens = static_cast<std::size_t>(llama_vocab_n_tokens(vocab));
  for (std::size_t i = 0; i < sums.n_tokens; ++i) {
    if (internal::piece_of(vocab, token_id(i)).empty()) ++sums.n_silent;
  }
  sums.missing = missing_bytes(vocab);
  for (const std::string& text : texts) compare(sums, vocab, text);
  for (const KnownTokens& known : known_tokens(file)) {
    ++sums.n_known;
    if (internal::tokenize(vocab, known.text, {.adds_special = false}) != known.tokens) {
      sums.wrong.push_back("the makers' tokens of " + internal::printable(known.text));
    }
  }
  return sums;
}

std::vector<std::string> wrong_pieces(const VocabularyFile& file) {
  const internal::LlamaModelPtr model = load_vocabulary(file);
  const llama_vocab* vocab = llama_model_get_vocab(model.get());
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf(
      gguf_init_from_file(path_of(file).c_str(), {true, nullptr}), &gguf_free);
  const auto texts = gguf_find_key(gguf.get(), "tokenizer.ggml.tokens");
  const auto types = gguf_find_key(gguf.get(), "tokenizer.ggml.token_type");
  const auto kind = gguf_find_key(gguf.get(), "tokenizer.ggml.model");
  const bool is_spaced = std::string(gguf_get_val_str(gguf.get(), kind)) != "gpt2";
  const auto* type = static_cast<const std::int32_t*>(gguf_get_arr_data(gguf.get(), types));
  std::vector<std::string> wrong;
  for (std::size_t i = 0; i < gguf_get_arr_n(gguf.get(), texts); ++i) {
    const std::string text = gguf_get_arr_str(gguf.get(), texts, i);
    const std::string piece = internal::piece_of(vocab, token_id(i));
    std::string expected = text;  // user-defined
    if (type[i] == 2 || type[i] == 3) expected.clear();
    if (type[i] == 1) expected = decoded(text, is_spaced);
    if (type[i] == 6) expected = static_cast<char>(std::stoi(text.substr(3, 2), nullptr, 16));
    if (type[i] == 5) expected.clear();
    if (piece == expected) continue;
    // llama.cpp makes control tokens of some that files call normal or user-defined.
    if (piece.empty() && (type[i] == 1 || type[i] == 4) && text.front() == '<') continue;
    wrong.push_back("token " + std::to_string(i) + " of type " + std::to_string(type[i]) + ", " +
                    internal::printable(text) + ", is " + internal::printable(piece));
  }
  return wrong;
}

}  // namespace gumbelspec::testing
