// The masks of a grammar's places: which tokens may follow there. All pieces of the vocabulary are
// walked as one tree, so that a place forbids what begins alike at once. Most places in a text are
// those of earlier ones (inside a string, for one), and texts of one grammar share them, so that
// most masks are found and not computed.
#include "src/llama/grammar.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gumbelspec/error.h"
#include "src/llama/gbnf.h"
#include "src/llama/grammar_program.h"
#include "src/llama/grammar_states.h"
#include "src/llama/grammar_tokens.h"
#include "src/llama/mask_cache.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

// The texts of control tokens that count as text.
using WrittenTokens = std::map<std::uint32_t, std::string>;

// What the matchers of one grammar share; its places grow while texts find them, so the lock.
class CompiledGrammar {
 public:
  CompiledGrammar(std::shared_ptr<const GrammarTokens> tokens, GrammarProgram program,
                  GrammarTriggers triggers, WrittenTokens written, std::size_t max_mask_bytes)
      : tokens_(std::move(tokens)),
        written_(std::move(written)),
        states_(std::move(program), std::move(triggers)),
        masks_(max_mask_bytes) {}

  [[nodiscard]] PlacePtr begin() const { return states_.begin(); }
  [[nodiscard]] const Mask& ends() const { return tokens_->ends(); }

  // The place behind a token; null behind the end of the text, and behind what the grammar does not
  // allow. (A draft that knows no grammar may propose that; the target never goes there.)
  [[nodiscard]] PlacePtr after(const PlacePtr& before, TokenId id) const {
    const auto token = static_cast<std::uint32_t>(id);
    if (before == nullptr || token >= tokens_->n_vocab() || tokens_->is_end(token)) return nullptr;
    const std::lock_guard lock(mutex_);
    states_.begin_work();
    const auto written = written_.find(token);
    const std::string_view piece =
        written == written_.end() ? tokens_->piece(token) : std::string_view(written->second);
    const bool is_waiting = before->waiting != GrammarPlace::kActive;
    GrammarPlace* at = piece.empty() && !is_waiting ? nullptr : run(before.get(), piece);
    if (tokens_->is_whole(token)) at = states_.next_by_token(*before, token, at, piece);
    return states_.hold(at);
  }

  [[nodiscard]] std::shared_ptr<const Mask> mask(GrammarPlace& at) const {
    const std::lock_guard lock(mutex_);
    const MaskKey key = {at.id};
    if (auto known = masks_.find(key)) return known;
    states_.begin_work();
    auto mask = std::make_shared<const Mask>(made_mask(at));
    masks_.keep(key, mask);
    return mask;
  }

 private:
  [[nodiscard]] Mask made_mask(GrammarPlace& at) const {
    const bool is_waiting = at.waiting != GrammarPlace::kActive;
    Mask mask = is_waiting ? tokens_->others() : Mask(ends().size(), 0);
    walk_pieces(at, mask, is_waiting);
    for (const auto& [token, text] : written_) {
      if (run(&at, text) == nullptr) {
        clear_bit(mask, token);
      } else {
        set_bit(mask, token);
      }
    }
    if (is_waiting) {
      for (const std::uint32_t token : states_.triggers().tokens) set_by_name(at, token, mask);
    }
    if (at.has_tokens) set_named(at, mask);
    if (at.may_end) {
      for (std::size_t i = 0; i < mask.size(); ++i) mask[i] |= ends()[i];
    }
    return mask;
  }

  // The place behind the text; null: there is none.
  [[nodiscard]] GrammarPlace* run(GrammarPlace* at, std::string_view text) const {
    for (const char byte : text) {
      if (at == nullptr) break;
      at = states_.next(*at, static_cast<std::uint8_t>(byte));
    }
    return at;
  }

  // is_waiting: all tokens are in the mask, and those that lead nowhere are taken out.
  void walk_pieces(GrammarPlace& at, Mask& mask, bool is_waiting) const {
    const PieceTrie& trie = tokens_->trie();
    const auto nodes = trie.nodes();
    std::vector<GrammarPlace*> places(trie.max_depth() + 1, nullptr);  // by the bytes read
    places[0] = &at;
    for (std::size_t i = 0; i < trie.size();) {
      const PieceTrie::Node& node = nodes[i];
      GrammarPlace* to = states_.next(*places[node.depth], node.byte);
      if (to == nullptr) {
        if (is_waiting) {
          for (const std::uint32_t token : trie.tokens_below(i)) clear_bit(mask, token);
        }
        i = node.behind;
        continue;
      }
      places[node.depth + 1U] = to;
      for (const std::uint32_t token : trie.tokens_at(i)) set_bit(mask, token);
      ++i;
    }
  }

  void set_by_name(GrammarPlace& at, std::uint32_t token, Mask& mask) const {
    if (states_.next_by_token(at, token, nullptr, tokens_->piece(token)) == nullptr) {
      clear_bit(mask, token);
    }
  }

  // The grammar asks for the token itself, as in "<[123]>", and not for characters.
  void set_named(const GrammarPlace& at, Mask& mask) const {
    for (const GrammarReading& reading : at.readings) {
      const GrammarStep& step = states_.program().steps[reading.step];
      const auto set = [&](std::uint32_t token) {
        if (!tokens_->is_end(token) && tokens_->is_whole(token)) set_bit(mask, token);
      };
      if (step.kind == GrammarStep::Kind::token && step.a < tokens_->n_vocab()) set(step.a);
      if (step.kind != GrammarStep::Kind::not_token) continue;
      for (std::uint32_t token = 0; token < tokens_->n_vocab(); ++token) {
        if (token != step.a) set(token);
      }
    }
  }

  std::shared_ptr<const GrammarTokens> tokens_;
  WrittenTokens written_;
  mutable std::mutex mutex_;  // of the places and the masks
  mutable GrammarStates states_;
  mutable MaskCache masks_;
};

class Matcher final : public TokenConstraint {
 public:
  explicit Matcher(std::shared_ptr<const CompiledGrammar> grammar)
      : grammar_(std::move(grammar)), base_(grammar_->begin()) {}

  std::span<const std::uint32_t> allowed(std::span<const TokenId> generated,
                                         std::span<const TokenId> path) override {
    follow(generated);
    const PlacePtr& at = follow_path(path);
    if (at == nullptr) return grammar_->ends();
    mask_ = grammar_->mask(*at);
    return *mask_;
  }

 private:
  struct Step {
    TokenId token{};
    PlacePtr place;  // behind it
  };

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
        base_ = std::move(path_.front().place);
        path_.erase(path_.begin());
      } else {
        base_ = grammar_->after(base_, token);
        path_.clear();
      }
      followed_.push_back(token);
    }
  }

  // Returns: the place behind the path. A walk asks about each of its nodes, whose paths begin
  // alike.
  const PlacePtr& follow_path(std::span<const TokenId> path) {
    std::size_t n = 0;
    while (n < path.size() && n < path_.size() && path_[n].token == path[n]) ++n;
    path_.resize(n);
    for (const TokenId token : path.subspan(n)) {
      path_.push_back({token, grammar_->after(path_.empty() ? base_ : path_.back().place, token)});
    }
    return path_.empty() ? base_ : path_.back().place;
  }

  std::shared_ptr<const CompiledGrammar> grammar_;
  PlacePtr base_;                  // behind followed_; null: nowhere
  std::vector<TokenId> followed_;  // of the generated text
  std::vector<Step> path_;         // behind it, as asked about last
  std::shared_ptr<const Mask> mask_;
};

class CompiledGrammarOfModel final : public Grammar {
 public:
  explicit CompiledGrammarOfModel(std::shared_ptr<const CompiledGrammar> compiled)
      : compiled_(std::move(compiled)) {}
  [[nodiscard]] std::unique_ptr<TokenConstraint> matcher() const override {
    return std::make_unique<Matcher>(compiled_);
  }

 private:
  std::shared_ptr<const CompiledGrammar> compiled_;
};

// As llama.cpp reads it: the token that the tokenizer, control tokens included, makes of the words.
std::optional<std::uint32_t> token_written(const llama_vocab* vocab, std::string_view written) {
  llama_token tokens[2] = {};
  const int n = llama_tokenize(vocab, written.data(), static_cast<std::int32_t>(written.size()),
                               tokens, 2, /*add_special=*/false, /*parse_special=*/true);
  if (n != 1) return std::nullopt;
  return static_cast<std::uint32_t>(tokens[0]);
}

std::uint32_t checked_token(TokenId token, const GrammarTokens& tokens) {
  if (index(token) >= tokens.n_vocab()) {
    throw Error(ErrorCode::invalid_option,
                "grammar has the trigger token " + std::to_string(index(token)) +
                    ", but the vocabulary ends at " + std::to_string(tokens.n_vocab() - 1) +
                    "; use another token",
                "grammar");
  }
  return static_cast<std::uint32_t>(token);
}

WrittenTokens written_of(const GrammarTrigger& trigger, const GrammarTokens& tokens) {
  WrittenTokens out;
  for (const GrammarTrigger::Written& written : trigger.written) {
    const std::uint32_t token = checked_token(written.token, tokens);
    // What ends the text is no part of it.
    if (!tokens.is_end(token) && !written.text.empty()) out[token] = written.text;
  }
  return out;
}

GrammarTriggers triggers_of(const GrammarTrigger& trigger, const GrammarTokens& tokens) {
  constexpr std::size_t kMostBytes = 4096;
  GrammarTriggers out;
  std::size_t n_bytes = 0;
  for (const std::string& word : trigger.words) n_bytes += word.size();
  for (const GrammarTrigger::Inner& inner : trigger.inner) n_bytes += inner.word.size();
  if (n_bytes > kMostBytes) {
    throw Error(ErrorCode::invalid_option,
                "grammar has triggers of " + std::to_string(n_bytes) + " bytes, at most " +
                    std::to_string(kMostBytes) + " are allowed; use shorter ones",
                "grammar");
  }
  out.words = trigger.words;
  out.begins.assign(out.words.size(), 0);
  for (const GrammarTrigger::Inner& inner : trigger.inner) {
    const std::size_t n_before = inner.at_begin ? 1 : 0;
    out.words.push_back(std::string(n_before, '\0') + inner.word);
    out.begins.push_back(n_before + std::min(inner.grammar_begins, inner.word.size()));
  }
  for (const TokenId token : trigger.tokens) out.tokens.push_back(checked_token(token, tokens));
  out.begun = trigger.begun;
  return out;
}

}  // namespace

std::shared_ptr<const GrammarTokens> read_grammar_tokens(const llama_vocab* vocab) {
  return std::make_shared<const GrammarTokens>(vocab);
}

std::shared_ptr<const Grammar> compile_grammar(std::shared_ptr<const GrammarTokens> tokens,
                                               const std::string& gbnf,
                                               const GrammarTrigger& trigger,
                                               std::size_t max_mask_bytes) {
  const llama_vocab* vocab = tokens->vocab();
  GrammarProgram program = make_program(parse_gbnf(
      gbnf, [vocab](std::string_view written) { return token_written(vocab, written); }));
  GrammarTriggers triggers = triggers_of(trigger, *tokens);
  WrittenTokens written = written_of(trigger, *tokens);
  return std::make_shared<CompiledGrammarOfModel>(std::make_shared<const CompiledGrammar>(
      std::move(tokens), std::move(program), std::move(triggers), std::move(written),
      max_mask_bytes));
}

std::shared_ptr<const Grammar> GrammarCache::compile(
    const std::shared_ptr<const GrammarTokens>& tokens, const std::string& gbnf,
    const GrammarTrigger& trigger) {
  const auto find = [&]() -> std::shared_ptr<const Grammar> {
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->gbnf != gbnf || !(entry->trigger == trigger)) continue;
      entries_.splice(entries_.begin(), entries_, entry);
      return entry->grammar;
    }
    return nullptr;
  };
  {
    const std::lock_guard lock(mutex_);
    if (auto known = find()) return known;
  }
  const std::lock_guard compiles(compiling_);
  {
    const std::lock_guard lock(mutex_);
    if (auto known = find()) return known;  // in the meantime
  }
  auto compiled = compile_grammar(tokens, gbnf, trigger);
  const std::lock_guard lock(mutex_);
  entries_.push_front({gbnf, trigger, compiled});
  if (entries_.size() > kMaxKeptGrammars) entries_.pop_back();
  return compiled;
}

}  // namespace gumbelspec::internal

namespace gumbelspec {

void check_grammar(std::string_view gbnf) {
  // Which tokens there are shows when it is compiled.
  (void)internal::parse_gbnf(std::string(gbnf), [](std::string_view /*written*/) { return 0U; });
}

}  // namespace gumbelspec
