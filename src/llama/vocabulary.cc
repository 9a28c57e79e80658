#include "src/llama/vocabulary.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>

#include "gumbelspec/error.h"
#include "src/llama/abort_guard.h"
#include "src/llama/deep_stack.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

constexpr int kKindMask = LLAMA_TOKEN_ATTR_UNKNOWN | LLAMA_TOKEN_ATTR_UNUSED |
                          LLAMA_TOKEN_ATTR_NORMAL | LLAMA_TOKEN_ATTR_CONTROL |
                          LLAMA_TOKEN_ATTR_USER_DEFINED | LLAMA_TOKEN_ATTR_BYTE;

int kind_of(const llama_vocab* vocab, llama_token token) {
  return llama_vocab_get_attr(vocab, token) & kKindMask;
}

bool is_unused(const llama_vocab* vocab, llama_token token) {
  const int kind = kind_of(vocab, token);
  return kind == LLAMA_TOKEN_ATTR_UNUSED || kind == LLAMA_TOKEN_ATTR_UNDEFINED;
}

bool is_padding(const llama_vocab* vocab, llama_token token) {
  return is_unused(vocab, token) || kind_of(vocab, token) == LLAMA_TOKEN_ATTR_CONTROL;
}

const char* kind_name(const llama_vocab* vocab, llama_token token) {
  switch (kind_of(vocab, token)) {
    case LLAMA_TOKEN_ATTR_UNKNOWN:
      return "unknown";
    case LLAMA_TOKEN_ATTR_NORMAL:
      return "normal";
    case LLAMA_TOKEN_ATTR_CONTROL:
      return "control";
    case LLAMA_TOKEN_ATTR_USER_DEFINED:
      return "user-defined";
    case LLAMA_TOKEN_ATTR_BYTE:
      return "byte";
    default:
      return "unused";
  }
}

const char* type_name(enum llama_vocab_type type) {
  switch (type) {
    case LLAMA_VOCAB_TYPE_NONE:
      return "no";
    case LLAMA_VOCAB_TYPE_SPM:
      return "a SentencePiece";
    case LLAMA_VOCAB_TYPE_BPE:
      return "a byte-pair";
    case LLAMA_VOCAB_TYPE_WPM:
      return "a WordPiece";
    case LLAMA_VOCAB_TYPE_UGM:
      return "a unigram";
    case LLAMA_VOCAB_TYPE_RWKV:
      return "an RWKV";
    default:
      return "another";
  }
}

std::string text_of(const llama_vocab* vocab, llama_token token) {
  return token < llama_vocab_n_tokens(vocab) ? printable(llama_vocab_get_text(vocab, token))
                                             : "nothing";
}

std::optional<std::string> special_difference(const char* name, bool target_adds, bool draft_adds,
                                              llama_token target, llama_token draft) {
  if (target_adds != draft_adds) {
    return std::string("only the ") + (target_adds ? "target" : "draft") + " puts " + name +
           " around a prompt";
  }
  if (target_adds && target != draft) {
    return std::string(name) + " is token " + std::to_string(target) + " of the target but token " +
           std::to_string(draft) + " of the draft";
  }
  return std::nullopt;
}

std::optional<std::string> token_difference(const llama_vocab* target, const llama_vocab* draft,
                                            llama_token token) {
  const auto names = [&](const std::string& left, const std::string& right) {
    return "token " + std::to_string(token) + " is " + left + " in the target but " + right +
           " in the draft";
  };
  if (is_unused(target, token) && is_unused(draft, token)) return std::nullopt;
  const std::string left = text_of(target, token);
  const std::string right = text_of(draft, token);
  if (std::string_view(llama_vocab_get_text(target, token)) != llama_vocab_get_text(draft, token)) {
    return names(left, right);
  }
  if (kind_of(target, token) != kind_of(draft, token)) {
    return names(left + " (" + kind_name(target, token) + ")",
                 right + " (" + kind_name(draft, token) + ")");
  }
  return std::nullopt;
}

// llama.cpp splits texts for most byte-pair vocabularies with std::regex, which goes down by some
// 320 bytes of stack with every character of a match: a hundred thousand digits in a row end the
// process. What a match can span depends on the vocabulary's expression, so there is room for all.
constexpr std::size_t kStackPerCharacter = 640;
constexpr std::size_t kStackOfTheRest = std::size_t{1} << 20U;
constexpr std::size_t kMaxShallow = 500;                 // characters: any thread has room
constexpr std::size_t kMaxDeep = std::size_t{4} << 20U;  // 2.5 GiB of stack, if all is used

void with_room_for(const llama_vocab* vocab, std::string_view text,
                   const std::function<void()>& work) {
  const std::size_t n = n_characters(text);
  if (n <= kMaxShallow || llama_vocab_type(vocab) != LLAMA_VOCAB_TYPE_BPE) return work();
  if (n > kMaxDeep) {
    throw Error(ErrorCode::prompt_too_long,
                "the text has " + std::to_string(n) + " characters, at most " +
                    std::to_string(kMaxDeep) + " can be tokenized for this model; shorten it",
                "text");
  }
  run_with_stack(n * kStackPerCharacter + kStackOfTheRest, work);
}

bool is_written_plainly(const llama_vocab* vocab, TokenId token, std::string_view llama_piece) {
  // llama.cpp's words for a character that stands for no byte.
  constexpr std::string_view kNoByte = "[UNK_BYTE_0x";
  return llama_piece.find(kNoByte) != std::string_view::npos &&
         std::string_view(llama_vocab_get_text(vocab, static_cast<llama_token>(token)))
                 .find(kNoByte) == std::string_view::npos;
}

}  // namespace

void require_texts(const llama_vocab* vocab) {
  if (llama_vocab_type(vocab) != LLAMA_VOCAB_TYPE_NONE) return;
  throw Error(ErrorCode::invalid_model,
              "the model file has no vocabulary (tokenizer.ggml.model is none), so there are no "
              "texts; convert the model with its tokenizer");
}

namespace {

[[noreturn]] void fail_vocabulary(const std::string& what) {
  throw Error(ErrorCode::invalid_model, "the model " + what + "; convert it again", "path");
}

}  // namespace

void check_pieces(const llama_vocab* vocab) {
  const AbortGuard guard;
  for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); ++token) {
    try {
      (void)llama_piece_of(vocab, static_cast<TokenId>(token));
    } catch (const std::exception& error) {
      fail_vocabulary("has a token that cannot be written, " + std::to_string(token) + " (" +
                      error.what() + ")");
    }
  }
}

std::vector<TokenId> tokenize(const llama_vocab* vocab, std::string_view text,
                              const TokenizeOptions& options) {
  require_texts(vocab);
  if (const auto offset = first_invalid_utf8(text)) {
    throw Error(ErrorCode::invalid_prompt,
                "the text is not UTF-8: byte " + std::to_string(*offset) + " is " +
                    printable(text.substr(*offset, 1)) + "; convert it to UTF-8 first",
                "text");
  }
  const auto max_length = static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()) / 2;
  if (text.size() > max_length) {
    throw Error(ErrorCode::prompt_too_long,
                "the text has " + std::to_string(text.size()) + " bytes, at most " +
                    std::to_string(max_length) + " can be tokenized; shorten it",
                "text");
  }
  std::vector<llama_token> tokens(text.size() + 8);
  const auto tokenize_into = [&] {
    const AbortGuard guard;
    try {
      return llama_tokenize(vocab, text.data(), static_cast<std::int32_t>(text.size()),
                            tokens.data(), static_cast<std::int32_t>(tokens.size()),
                            options.adds_special, options.reads_control);
    } catch (const std::exception& error) {
      fail_vocabulary(std::string("has a vocabulary that cannot tokenize the text (") +
                      error.what() + ")");
    }
  };
  std::int32_t n = 0;
  with_room_for(vocab, text, [&] {
    n = tokenize_into();
    if (n < 0 && n != std::numeric_limits<std::int32_t>::min()) {
      tokens.resize(static_cast<std::size_t>(-n));
      n = tokenize_into();
    }
  });
  if (n < 0)
    throw Error(ErrorCode::invalid_prompt, "llama.cpp could not tokenize the text", "text");
  std::vector<TokenId> ids(static_cast<std::size_t>(n));
  std::transform(tokens.begin(), tokens.begin() + n, ids.begin(),
                 [](llama_token token) { return static_cast<TokenId>(token); });
  return ids;
}

std::string text_of_token(const llama_vocab* vocab, llama_token token) {
  if (token == LLAMA_TOKEN_NULL || llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE) return {};
  return llama_vocab_get_text(vocab, token);
}

std::string piece_of(const llama_vocab* vocab, TokenId token) {
  std::string piece = llama_piece_of(vocab, token);
  if (is_written_plainly(vocab, token, piece)) {
    return llama_vocab_get_text(vocab, static_cast<llama_token>(token));
  }
  return piece;
}

std::string llama_piece_of(const llama_vocab* vocab, TokenId token) {
  if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE) return {};
  std::string piece(32, '\0');
  const auto write = [&] {
    return llama_token_to_piece(vocab, static_cast<llama_token>(token), piece.data(),
                                static_cast<std::int32_t>(piece.size()), 0, false);
  };
  std::int32_t n = write();
  if (n < 0) {
    piece.resize(static_cast<std::size_t>(-n));
    n = write();
  }
  piece.resize(static_cast<std::size_t>(std::max(n, 0)));
  return piece;
}

std::optional<std::string> vocabulary_difference(const llama_vocab* target,
                                                 const llama_vocab* draft) {
  const enum llama_vocab_type target_type = llama_vocab_type(target);
  const enum llama_vocab_type draft_type = llama_vocab_type(draft);
  if (target_type != draft_type) {
    return std::string("the target has ") + type_name(target_type) + " vocabulary, the draft " +
           type_name(draft_type) + " one";
  }
  const llama_token n_target = llama_vocab_n_tokens(target);
  const llama_token n_draft = llama_vocab_n_tokens(draft);
  if (target_type == LLAMA_VOCAB_TYPE_NONE) {
    if (n_target == n_draft) return std::nullopt;
    return "the target has " + std::to_string(n_target) + " tokens, the draft " +
           std::to_string(n_draft) + ", all without texts";
  }
  for (llama_token token = 0; token < std::min(n_target, n_draft); ++token) {
    if (auto difference = token_difference(target, draft, token)) return difference;
  }
  for (llama_token token = std::min(n_target, n_draft); token < std::max(n_target, n_draft);
       ++token) {
    if (is_padding(n_target > n_draft ? target : draft, token)) continue;
    return "token " + std::to_string(token) + " is " + text_of(target, token) + " in the target (" +
           std::to_string(n_target) + " tokens) but " + text_of(draft, token) + " in the draft (" +
           std::to_string(n_draft) + " tokens)";
  }
  if (auto difference =
          special_difference("BOS", llama_vocab_get_add_bos(target), llama_vocab_get_add_bos(draft),
                             llama_vocab_bos(target), llama_vocab_bos(draft))) {
    return difference;
  }
  return special_difference("EOS", llama_vocab_get_add_eos(target), llama_vocab_get_add_eos(draft),
                            llama_vocab_eos(target), llama_vocab_eos(draft));
}

}  // namespace gumbelspec::internal
