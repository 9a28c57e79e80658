#include "apps/cli/forced_passes.h"

#include <algorithm>
#include <string>

#include "apps/common/stop_signals.h"
#include "gumbelspec/error.h"

namespace gumbelspec::apps::cli {
namespace {

constexpr std::size_t kPathLength = 6;  // of a tree
constexpr std::size_t kAccepted = 4;    // of it

void check(PassOutcome outcome) {
  if (outcome == PassOutcome::cancelled) throw Stopped();
  if (outcome == PassOutcome::no_space) {
    throw Error(ErrorCode::evaluation_failed, "the self-test's text does not fit into the cache");
  }
}

class Forced {
 public:
  Forced(LanguageModel& model, const ForcedText& text, const SeeRow& see)
      : model_(model), text_(text), see_(see), seq_(model.open()) {
    check(model_.extend(seq_, std::span(text_.tokens).first(text_.n_prompt)));
  }
  ~Forced() { model_.close(seq_); }
  Forced(const Forced&) = delete;
  Forced& operator=(const Forced&) = delete;

  void singly_until(std::size_t end) {
    while (position() < end) chain_of(1, PassKind::single);
  }

  void in_one_pass_until(std::size_t end) {
    while (position() < end) {
      chain_of(std::min(end - position(), model_.limits().max_pass_nodes), PassKind::many);
    }
  }

  void in_trees() {
    while (position() < text_.tokens.size()) {
      const std::size_t n = std::min(kPathLength, text_.tokens.size() - position());
      if (model_.limits().can_branch) {
        tree_along(n);
      } else {
        chain_along(std::min(n, kAccepted));
      }
    }
  }

 private:
  [[nodiscard]] std::size_t position() const { return model_.n_committed(seq_); }

  void chain_of(std::size_t n, PassKind kind) {
    std::vector<PassNode> nodes;
    std::vector<PendingId> path;
    const std::size_t begin = position();
    for (std::size_t i = 0; i < n; ++i) {
      nodes.push_back(
          {seq_, i == 0 ? kCommitted : pending_id(i - 1), text_.tokens[begin + i], true});
      path.push_back(pending_id(i));
    }
    check(model_.evaluate(nodes));
    for (std::size_t i = 0; i < n; ++i) see_(begin + i, kind, model_.row(i));
    model_.commit(seq_, path);
  }

  // Any other token of the text.
  [[nodiscard]] TokenId wrong_at(std::size_t place) const {
    for (std::size_t i = 1; i < text_.tokens.size(); ++i) {
      const TokenId token = text_.tokens[(place + 17 * i) % text_.tokens.size()];
      if (token != text_.tokens[place]) return token;
    }
    return token_id(index(text_.tokens[place]) == 0 ? 1 : 0);
  }

  void tree_along(std::size_t n) {
    const std::size_t begin = position();
    std::vector<PassNode> nodes;
    std::vector<PendingId> path;
    std::size_t n_leaves = 1;
    for (std::size_t i = 0; i < n; ++i) {
      const PendingId parent = path.empty() ? kCommitted : path.back();
      // The text's nodes do not follow each other in the pass.
      if (i > 0 && ++n_leaves <= model_.limits().max_leaves) {
        nodes.push_back({seq_, parent, wrong_at(begin + i), false});
        nodes.push_back({seq_, pending_id(nodes.size() - 1), text_.tokens[begin + i], false});
      }
      path.push_back(pending_id(nodes.size()));
      nodes.push_back({seq_, parent, text_.tokens[begin + i], true});
    }
    check(model_.evaluate(nodes));
    for (std::size_t i = 0; i < n; ++i) {
      see_(begin + i, PassKind::tree, model_.row(index(path[i])));
    }
    path.resize(std::min(n, kAccepted));
    model_.commit(seq_, path);
  }

  // The text's next tokens, and behind them others, which are dropped again.
  void chain_along(std::size_t n) {
    constexpr std::size_t kWrong = 2;
    const std::size_t begin = position();
    std::vector<PassNode> nodes;
    std::vector<PendingId> path;
    const std::size_t n_wrong = std::min(kWrong, model_.limits().longest_chain());
    for (std::size_t i = 0; i < n + n_wrong; ++i) {
      const PendingId parent = i == 0 ? kCommitted : pending_id(i - 1);
      const bool is_text = i < n;
      nodes.push_back(
          {seq_, parent, is_text ? text_.tokens[begin + i] : wrong_at(begin + n - 1), is_text});
      if (is_text) path.push_back(pending_id(i));
    }
    check(model_.evaluate(nodes));
    for (std::size_t i = 0; i < n; ++i) see_(begin + i, PassKind::tree, model_.row(i));
    model_.commit(seq_, path);
  }

  LanguageModel& model_;
  const ForcedText& text_;
  const SeeRow& see_;
  SeqId seq_;
};

}  // namespace

ForcedText forced_text(std::span<const TokenId> tokens, std::size_t n, const ModelLimits& limits) {
  constexpr std::size_t kLeast = 16;
  // Trees need room beside the text.
  const std::size_t n_most = limits.n_context - std::min(limits.n_context, 4 * kPathLength);
  n = std::min(n, n_most);
  if (n < kLeast || tokens.empty()) {
    throw Error(ErrorCode::invalid_option,
                "the context of " + std::to_string(limits.n_context) +
                    " tokens is too short for the self-test; give at least 40 (-c)");
  }
  ForcedText text;
  for (std::size_t i = 0; i < n; ++i) text.tokens.push_back(tokens[i % tokens.size()]);
  text.n_prompt = n / 4;
  text.many_end = n / 2;
  text.single_end = n / 2 + n / 8;
  return text;
}

void force_all_kinds(LanguageModel& model, const ForcedText& text, const SeeRow& see) {
  Forced forced(model, text, see);
  forced.in_one_pass_until(text.many_end);
  forced.singly_until(text.single_end);
  forced.in_trees();
}

void force_singly(LanguageModel& model, const ForcedText& text, const SeeRow& see) {
  Forced(model, text, see).singly_until(text.tokens.size());
}

}  // namespace gumbelspec::apps::cli
