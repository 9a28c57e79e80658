// Of llama.cpp's private grammar functions (which its shared library exports) rather than its
// sampler: they say what is wrong with a grammar, and let a state be kept, compared and set again,
// where the sampler can only be copied as a whole. Most places in a text share their state with
// earlier ones (inside a string, for one), and texts of one grammar with each other, so that most
// masks are found and not computed.
//
// llama.cpp lets tokens pass that would leave the text outside the grammar all the same: control
// tokens whose name fits, but which write nothing, bytes that are no character, which readers of
// the text replace, and tokens whose text it does not know. Those are taken out here.
#include "src/llama/grammar.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "gumbelspec/error.h"
#include "src/llama/grammar_parser.h"
#include "src/llama/grammar_tokens.h"
#include "src/llama/mask_cache.h"

namespace gumbelspec::internal {
namespace {

// Where a text is in the grammar. The pointers in the stacks are into the grammar's rules, so equal
// places have equal stacks.
struct State {
  llama_grammar_stacks stacks;
  llama_partial_utf8 partial{};
  std::string unfinished;  // the beginning of a character that the text ends with
};

MaskKey key_of(const State& state) {
  MaskKey key = {state.partial.value, static_cast<std::uint32_t>(state.partial.n_remain), 0};
  for (const char byte : state.unfinished) {  // at most three
    key.back() = key.back() << 8U | static_cast<unsigned char>(byte);
  }
  for (const llama_grammar_stack& stack : state.stacks) {
    key.push_back(stack.size());
    for (const llama_grammar_element* at : stack) {
      key.push_back(reinterpret_cast<std::uintptr_t>(at));
    }
  }
  return key;
}

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

// What the matchers of one grammar share. llama.cpp's functions read the rules and change the
// stacks of one object, which here is set to whatever place is asked about: so the lock.
class CompiledGrammar {
 public:
  CompiledGrammar(std::shared_ptr<const GrammarTokens> tokens, GrammarPtr grammar,
                  std::size_t max_mask_bytes)
      : tokens_(std::move(tokens)),
        grammar_(std::move(grammar)),
        begin_(state({})),
        masks_(max_mask_bytes) {}

  [[nodiscard]] const State& begin() const { return begin_; }
  [[nodiscard]] const Mask& ends() const { return tokens_->ends(); }

  // The state behind a token; none behind the end of the text, and behind what the grammar does not
  // allow. (A draft that knows no grammar may propose that; the target never goes there.)
  [[nodiscard]] std::optional<State> after(const State& before, TokenId token) const {
    const auto id = static_cast<llama_token>(token);
    if (llama_vocab_is_eog(tokens_->vocab(), id)) return std::nullopt;
    std::optional<std::string> unfinished = unfinished_behind(before, id);
    if (!unfinished) return std::nullopt;
    const std::lock_guard lock(mutex_);
    restore(before);
    try {
      llama_grammar_accept_impl(*grammar_, id);
    } catch (const std::exception&) {
      return std::nullopt;
    }
    return state(std::move(*unfinished));
  }

  [[nodiscard]] std::shared_ptr<const Mask> mask(const State& at) const {
    MaskKey key = key_of(at);
    const std::lock_guard lock(mutex_);
    if (auto known = masks_.find(key)) return known;
    auto mask = std::make_shared<const Mask>(made_mask(at));
    masks_.keep(std::move(key), mask);
    return mask;
  }

 private:
  [[nodiscard]] State state(std::string unfinished) const {
    // Behind a whole character llama.cpp leaves it there; it would tell places apart that are one.
    const bool is_whole = grammar_->partial_utf8.n_remain == 0;
    return {grammar_->stacks, is_whole ? llama_partial_utf8{} : grammar_->partial_utf8,
            std::move(unfinished)};
  }

  void restore(const State& state) const {
    grammar_->stacks = state.stacks;
    grammar_->partial_utf8 = state.partial;
  }

  // nullopt if the token may not follow, whatever the grammar's characters.
  [[nodiscard]] std::optional<std::string> unfinished_behind(const State& before,
                                                             llama_token token) const {
    if (before.unfinished.empty() && tokens_->is_whole(token)) return std::string();
    if (!tokens_->writes(token) && !names_token(before, token)) return std::nullopt;
    return tokens_->unfinished_behind(before.unfinished, token);
  }

  [[nodiscard]] bool may_follow(const State& at, llama_token token) const {
    return llama_vocab_is_eog(tokens_->vocab(), token) ? at.unfinished.empty()
                                                       : unfinished_behind(at, token).has_value();
  }

  [[nodiscard]] Mask made_mask(const State& at) const {
    // In the middle of a character none of the whole ones can follow.
    Mask mask = at.unfinished.empty() ? tokens_->whole() : Mask(ends().size(), 0);
    if (at.unfinished.empty()) clear_rejected(at, mask);
    std::vector<llama_token_data> others;
    others.reserve(tokens_->others().size());
    for (const llama_token token : tokens_->others()) others.push_back({token, 0.0F, 0.0F});
    llama_token_data_array array{others.data(), others.size(), -1, false};
    restore(at);
    llama_grammar_apply_impl(*grammar_, &array);
    for (const llama_token_data& other : others) {
      if (!std::isinf(other.logit) && may_follow(at, other.id)) {
        set_bit(mask, static_cast<std::size_t>(other.id));
      }
    }
    return mask;
  }

  // As llama_grammar_apply_impl() does, which reads the text of every token anew each time: what
  // all stacks reject is forbidden.
  void clear_rejected(const State& at, Mask& mask) const {
    const llama_grammar_candidates* left = &tokens_->whole_candidates();
    llama_grammar_candidates rejected;
    for (const llama_grammar_stack& stack : at.stacks) {
      rejected = llama_grammar_reject_candidates_for_stack(grammar_->rules, stack, *left);
      left = &rejected;
    }
    for (const llama_grammar_candidate& candidate : *left) clear_bit(mask, candidate.index);
  }

  std::shared_ptr<const GrammarTokens> tokens_;
  mutable std::mutex mutex_;  // of the stacks and the masks
  GrammarPtr grammar_;
  const State begin_;
  mutable MaskCache masks_;
};

class Matcher final : public TokenConstraint {
 public:
  explicit Matcher(std::shared_ptr<const CompiledGrammar> grammar)
      : grammar_(std::move(grammar)), base_(grammar_->begin()) {}

  std::span<const std::uint32_t> allowed(std::span<const TokenId> generated,
                                         std::span<const TokenId> path) override {
    follow(generated);
    const std::optional<State>& at = follow_path(path);
    if (!at) return grammar_->ends();
    mask_ = grammar_->mask(*at);
    return *mask_;
  }

 private:
  struct Step {
    TokenId token{};
    std::optional<State> state;  // behind it
  };

  [[nodiscard]] std::optional<State> after(const std::optional<State>& before,
                                           TokenId token) const {
    return before ? grammar_->after(*before, token) : std::nullopt;
  }

  void follow(std::span<const TokenId> generated) {
    const bool goes_on = generated.size() >= followed_.size() &&
                         std::equal(followed_.begin(), followed_.end(), generated.begin());
    if (!goes_on) {
      followed_.clear();
      path_.clear();
      base_ = grammar_->begin();
    }
    for (const TokenId token : generated.subspan(followed_.size())) {
      // The text mostly goes on along the path that was asked about last.
      if (!path_.empty() && path_.front().token == token) {
        base_ = std::move(path_.front().state);
        path_.erase(path_.begin());
      } else {
        base_ = after(base_, token);
        path_.clear();
      }
      followed_.push_back(token);
    }
  }

  // Returns: the state behind the path. A walk asks about each of its nodes, whose paths begin
  // alike.
  const std::optional<State>& follow_path(std::span<const TokenId> path) {
    std::size_t n = 0;
    while (n < path.size() && n < path_.size() && path_[n].token == path[n]) ++n;
    path_.resize(n);
    for (const TokenId token : path.subspan(n)) {
      path_.push_back({token, after(path_.empty() ? base_ : path_.back().state, token)});
    }
    return path_.empty() ? base_ : path_.back().state;
  }

  std::shared_ptr<const CompiledGrammar> grammar_;
  std::optional<State> base_;      // behind followed_
  std::vector<TokenId> followed_;  // of the generated text
  std::vector<Step> path_;         // behind it, as asked about last
  std::shared_ptr<const Mask> mask_;
};

class LlamaGrammar final : public Grammar {
 public:
  explicit LlamaGrammar(std::shared_ptr<const CompiledGrammar> compiled)
      : compiled_(std::move(compiled)) {}
  [[nodiscard]] std::unique_ptr<TokenConstraint> matcher() const override {
    return std::make_unique<Matcher>(compiled_);
  }

 private:
  std::shared_ptr<const CompiledGrammar> compiled_;
};

}  // namespace

std::shared_ptr<const GrammarTokens> read_grammar_tokens(const llama_vocab* vocab) {
  return std::make_shared<const GrammarTokens>(vocab);
}

std::shared_ptr<const Grammar> compile_grammar(std::shared_ptr<const GrammarTokens> tokens,
                                               const std::string& gbnf,
                                               std::size_t max_mask_bytes) {
  check_grammar(gbnf);
  GrammarPtr grammar = parse_grammar(tokens->vocab(), gbnf);
  return std::make_shared<LlamaGrammar>(std::make_shared<const CompiledGrammar>(
      std::move(tokens), std::move(grammar), max_mask_bytes));
}

}  // namespace gumbelspec::internal
