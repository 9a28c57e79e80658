// Texts to tokens and back.
#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/api/request.h"
#include "bindings/c/include/gumbelspec_c.h"
#include "bindings/c/loaded_pair.h"
#include "bindings/c/status.h"

namespace gumbelspec::c {
namespace {

template <class From, class To, class Convert>
void hand_out(const From& from, To* out, std::size_t capacity, std::size_t* n, const char* what,
              Convert&& convert) {
  *n = from.size();
  if (from.size() > capacity) {
    throw Misuse(GUMBELSPEC_TOO_SMALL, std::string(what) + " has room for " +
                                           std::to_string(capacity) + ", but " +
                                           std::to_string(from.size()) + " are needed");
  }
  std::transform(from.begin(), from.end(), out, convert);
}

void hand_out_tokens(const std::vector<TokenId>& from, int* out, std::size_t capacity,
                     std::size_t* n) {
  hand_out(from, out, capacity, n, "tokens", [](TokenId token) { return static_cast<int>(token); });
}

void require_buffer(const void* pointer, std::size_t capacity, const char* name) {
  if (capacity > 0) require_pointer(pointer, name);
}

TokenId known_token(const LoadedPair& pair, int token) {
  const std::size_t n_vocab = pair.pair.target().limits().n_vocab;
  if (token < 0 || static_cast<std::size_t>(token) >= n_vocab) {
    throw Misuse(GUMBELSPEC_INVALID_PROMPT, "token " + std::to_string(token) +
                                                " is not in the vocabulary, which has " +
                                                std::to_string(n_vocab) + " tokens");
  }
  return static_cast<TokenId>(token);
}

TokenizeOptions tokenize_options(int flags) {
  constexpr int kAll = GUMBELSPEC_NO_SPECIAL | GUMBELSPEC_READ_CONTROL;
  if ((flags & ~kAll) != 0) {
    throw Misuse(GUMBELSPEC_INVALID_ARGUMENT, "flags is " + std::to_string(flags) +
                                                  ", but must be a sum of GUMBELSPEC_NO_SPECIAL "
                                                  "and GUMBELSPEC_READ_CONTROL, or 0");
  }
  return {.adds_special = (flags & GUMBELSPEC_NO_SPECIAL) == 0,
          .reads_control = (flags & GUMBELSPEC_READ_CONTROL) != 0};
}

std::vector<TokenId> chat_tokens(const LoadedPair& pair, const char* chat) {
  // However long: the text that follows is what has to fit.
  server::ApiModel api = pair.api;
  api.n_context = static_cast<std::size_t>(std::numeric_limits<int>::max());
  return server::parse_chat(chat, api).prompts.front();
}

}  // namespace
}  // namespace gumbelspec::c

using gumbelspec::TokenId;

gumbelspec_status gumbelspec_tokenize(const gumbelspec_pair* pair, const char* text, size_t n_bytes,
                                      int flags, int* tokens, size_t capacity, size_t* n) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(pair, "pair");
    gumbelspec::c::require_buffer(text, n_bytes, "text");
    gumbelspec::c::require_buffer(tokens, capacity, "tokens");
    gumbelspec::c::require_pointer(n, "n");
    const auto options = gumbelspec::c::tokenize_options(flags);
    const std::string_view view =
        n_bytes == 0 ? std::string_view() : std::string_view(text, n_bytes);
    gumbelspec::c::hand_out_tokens(pair->loaded->pair.target().tokenize(view, options), tokens,
                                   capacity, n);
  });
}

gumbelspec_status gumbelspec_detokenize(const gumbelspec_pair* pair, const int* tokens,
                                        size_t n_tokens, char* text, size_t capacity, size_t* n) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(pair, "pair");
    gumbelspec::c::require_buffer(tokens, n_tokens, "tokens");
    gumbelspec::c::require_buffer(text, capacity, "text");
    gumbelspec::c::require_pointer(n, "n");
    std::string bytes;
    for (size_t i = 0; i < n_tokens; ++i) {
      const TokenId token = gumbelspec::c::known_token(*pair->loaded, tokens[i]);
      bytes += pair->loaded->pair.target().piece(token);
    }
    gumbelspec::c::hand_out(bytes, text, capacity, n, "text", [](char byte) { return byte; });
  });
}

gumbelspec_status gumbelspec_is_end(const gumbelspec_pair* pair, int token, int* out) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(pair, "pair");
    gumbelspec::c::require_pointer(out, "out");
    const TokenId id = gumbelspec::c::known_token(*pair->loaded, token);
    *out = pair->loaded->pair.target().is_end(id) ? 1 : 0;
  });
}

gumbelspec_status gumbelspec_chat_tokens(const gumbelspec_pair* pair, const char* chat, int* tokens,
                                         size_t capacity, size_t* n) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(pair, "pair");
    gumbelspec::c::require_pointer(chat, "chat");
    gumbelspec::c::require_buffer(tokens, capacity, "tokens");
    gumbelspec::c::require_pointer(n, "n");
    gumbelspec::c::hand_out_tokens(gumbelspec::c::chat_tokens(*pair->loaded, chat), tokens,
                                   capacity, n);
  });
}
