// Of llama.cpp's private grammar functions (which its shared library exports) rather than its
// sampler: they say what is wrong with a grammar, and let a state be kept, compared and set again,
// where the sampler can only be copied as a whole. Most places in a text share their state with
// earlier ones (inside a string, for one), so that most masks are found and not computed.
//
// llama.cpp lets tokens pass that would leave the text outside the grammar all the same: control
// tokens whose name fits, but which write nothing, bytes that are no character, which readers of
// the text replace, and tokens whose text it does not know. Those are taken out here.
#include "src/llama/grammar.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "gumbelspec/error.h"
#include "llama-grammar.h"
#include "src/llama/log_capture.h"
#include "src/llama/utf8.h"
#include "src/llama/vocabulary.h"

namespace gumbelspec::internal {
namespace {

constexpr std::size_t kMaxMasks = 512;  // kept of one grammar

struct GrammarDeleter {
  void operator()(llama_grammar* grammar) const { llama_grammar_free_impl(grammar); }
};
using GrammarPtr = std::unique_ptr<llama_grammar, GrammarDeleter>;

[[noreturn]] void fail(const std::string& reason) {
  throw Error(ErrorCode::invalid_option,
              "the grammar is wrong: " + reason +
                  "; the notation is GBNF, as in llama.cpp's grammars/README.md");
}

// llama.cpp's messages end in all the rest of the grammar.
std::string shortened(const std::string& message) {
  constexpr std::size_t kMost = 120;
  std::string line = message.substr(0, message.find('\n'));
  if (line.size() > kMost) line = line.substr(0, kMost) + "...";
  return printable(line);
}

// As llama_grammar_parser::parse(), which prints to standard error and forgets the reason.
void check_parses(const llama_vocab* vocab, const std::string& gbnf) {
  llama_grammar_parser parser(vocab);
  try {
    const char* at = gbnf.c_str();
    // Comments and space at the beginning, which parse_rule() does not skip.
    while (*at != '\0' && std::strchr(" \t\r\n#", *at) != nullptr) {
      at += *at == '#' ? std::strcspn(at, "\r\n") : 1;
    }
    while (*at != '\0') at = parser.parse_rule(at);
  } catch (const std::exception& error) {
    fail(shortened(error.what()));
  }
  const auto is_defined = [&](std::uint32_t id) {
    return id < parser.rules.size() && !parser.rules[id].empty();
  };
  for (const auto& [name, id] : parser.symbol_ids) {
    if (!is_defined(id)) fail("the rule " + printable(name) + " is used but not defined");
  }
  if (parser.symbol_ids.count("root") == 0) fail("it has no rule \"root\"");
}

GrammarPtr parse(const llama_vocab* vocab, const std::string& gbnf) {
  check_parses(vocab, gbnf);
  const LogSink no_sink;
  const LogCapture capture(no_sink);
  GrammarPtr grammar(
      llama_grammar_init_impl(vocab, gbnf.c_str(), "root", false, nullptr, 0, nullptr, 0));
  if (grammar == nullptr) {
    const std::string reason = capture.last_error();
    fail(reason.empty() ? "llama.cpp refuses it" : reason);
  }
  return grammar;
}

// Where a text is in the grammar. The pointers in the stacks are into the grammar's rules, so equal
// places have equal stacks.
struct State {
  llama_grammar_stacks stacks;
  llama_partial_utf8 partial{};
  std::string unfinished;  // the beginning of a character that the text ends with

  bool operator<(const State& other) const {
    return std::tie(partial.value, partial.n_remain, unfinished, stacks) <
           std::tie(other.partial.value, other.partial.n_remain, other.unfinished, other.stacks);
  }
};

// The grammar asks for the token itself, as in "<[123]>", and not for characters.
bool names_token(const State& at, llama_token token) {
  return std::any_of(at.stacks.begin(), at.stacks.end(), [&](const llama_grammar_stack& stack) {
    if (stack.empty()) return false;
    const llama_grammar_element& next = *stack.back();
    const bool is_it = next.value == static_cast<std::uint32_t>(token);
    return (next.type == LLAMA_GRETYPE_TOKEN && is_it) ||
           (next.type == LLAMA_GRETYPE_TOKEN_NOT && !is_it);
  });
}

class GrammarConstraint final : public TokenConstraint {
 public:
  GrammarConstraint(const llama_vocab* vocab, GrammarPtr grammar)
      : vocab_(vocab), grammar_(std::move(grammar)), begin_(state({})), base_(begin_) {
    const auto n_vocab = static_cast<std::size_t>(llama_vocab_n_tokens(vocab));
    tokens_.resize(n_vocab);
    ends_only_.assign((n_vocab + 31) / 32, 0);
    for (std::size_t i = 0; i < n_vocab; ++i) {
      if (llama_vocab_is_eog(vocab, static_cast<llama_token>(i))) set(ends_only_, i);
    }
  }

  std::span<const std::uint32_t> allowed(std::span<const TokenId> generated,
                                         std::span<const TokenId> path) override {
    follow(generated);
    std::optional<State> at = base_;
    for (const TokenId token : path) at = after(std::move(at), token);
    return at ? mask(*at) : ends_only_;
  }

 private:
  using Mask = std::vector<std::uint32_t>;

  static void set(Mask& mask, std::size_t i) { mask[i / 32] |= 1U << (i % 32); }

  static bool is_set(const Mask& mask, std::size_t i) {
    return (mask[i / 32] >> (i % 32) & 1U) != 0;
  }

  [[nodiscard]] State state(std::string unfinished) const {
    return {grammar_->stacks, grammar_->partial_utf8, std::move(unfinished)};
  }

  void restore(const State& state) {
    grammar_->stacks = state.stacks;
    grammar_->partial_utf8 = state.partial;
  }

  // The state behind a token; none behind the end of the text, and behind what the grammar does not
  // allow. (A draft that knows no grammar may propose that; the target never goes there.)
  std::optional<State> after(std::optional<State> before, TokenId token) {
    const auto id = static_cast<llama_token>(token);
    if (!before || llama_vocab_is_eog(vocab_, id)) return std::nullopt;
    std::optional<std::string> unfinished = unfinished_behind(*before, id);
    if (!unfinished) return std::nullopt;
    restore(*before);
    try {
      llama_grammar_accept_impl(*grammar_, id);
    } catch (const std::exception&) {
      return std::nullopt;
    }
    return state(std::move(*unfinished));
  }

  // Whether llama.cpp's grammar sees the text of the token. It does not look behind a U+0000.
  [[nodiscard]] bool is_read_whole(const std::string& piece, llama_token token) const {
    return piece.find('\0') == std::string::npos &&
           piece == llama_piece_of(vocab_, static_cast<TokenId>(token));
  }

  // nullopt if the token may not follow, whatever the grammar's characters.
  [[nodiscard]] std::optional<std::string> unfinished_behind(const State& before,
                                                             llama_token token) const {
    const std::string piece = piece_of(vocab_, static_cast<TokenId>(token));
    if (piece.empty()) {
      return names_token(before, token) ? std::optional(before.unfinished) : std::nullopt;
    }
    if (!is_read_whole(piece, token)) return std::nullopt;
    return unfinished_after(before.unfinished, piece);
  }

  [[nodiscard]] bool may_follow(const State& at, std::size_t i) const {
    if (at.unfinished.empty() && is_set(whole_tokens_, i)) return true;
    const auto id = static_cast<llama_token>(i);
    return llama_vocab_is_eog(vocab_, id) ? at.unfinished.empty()
                                          : unfinished_behind(at, id).has_value();
  }

  void find_whole_tokens() {
    whole_tokens_.assign(ends_only_.size(), 0);
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const std::string piece = piece_of(vocab_, token_id(i));
      const bool is_text = !piece.empty() && is_read_whole(piece, static_cast<llama_token>(i));
      if (is_text && !first_invalid_utf8(piece)) set(whole_tokens_, i);
    }
  }

  void follow(std::span<const TokenId> generated) {
    const bool goes_on = generated.size() >= followed_.size() &&
                         std::equal(followed_.begin(), followed_.end(), generated.begin());
    if (!goes_on) {
      followed_.clear();
      base_ = begin_;
    }
    for (const TokenId token : generated.subspan(followed_.size())) {
      base_ = after(std::move(base_), token);
      followed_.push_back(token);
    }
  }

  const Mask& mask(const State& at) {
    const auto known = masks_.find(at);
    if (known != masks_.end()) return known->second;
    if (whole_tokens_.empty()) find_whole_tokens();
    restore(at);
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      tokens_[i] = {static_cast<llama_token>(i), 0.0F, 0.0F};
    }
    llama_token_data_array array{tokens_.data(), tokens_.size(), -1, false};
    llama_grammar_apply_impl(*grammar_, &array);
    Mask mask(ends_only_.size(), 0);
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      if (!std::isinf(tokens_[i].logit) && may_follow(at, i)) set(mask, i);
    }
    if (masks_.size() >= kMaxMasks) masks_.clear();
    return masks_.emplace(at, std::move(mask)).first->second;
  }

  const llama_vocab* vocab_;
  GrammarPtr grammar_;
  State begin_;
  std::optional<State> base_;      // behind followed_
  std::vector<TokenId> followed_;  // of the generated text
  std::vector<llama_token_data> tokens_;
  Mask ends_only_;
  Mask whole_tokens_;  // of whole characters: nearly all. Empty: not asked for yet
  std::map<State, Mask> masks_;
};

}  // namespace

std::unique_ptr<TokenConstraint> make_grammar_constraint(const llama_vocab* vocab,
                                                         const std::string& gbnf) {
  require_texts(vocab);
  return std::make_unique<GrammarConstraint>(vocab, parse(vocab, gbnf));
}

}  // namespace gumbelspec::internal
