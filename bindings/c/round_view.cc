#include "bindings/c/round_view.h"

namespace gumbelspec::c {
namespace {

gumbelspec_token shown(const GeneratedToken& token) {
  return {static_cast<int>(token.token), static_cast<int>(token.runner_up), token.margin,
          token.depth, token.was_drafted ? 1 : 0};
}

gumbelspec_logprob shown(const TokenLogprob& of) {
  return {static_cast<int>(of.token), of.logprob};
}

}  // namespace

gumbelspec_outcome outcome_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::running:
      return GUMBELSPEC_RUNNING;
    case Outcome::eos:
      return GUMBELSPEC_EOS;
    case Outcome::length:
      return GUMBELSPEC_LENGTH;
    case Outcome::context_full:
      return GUMBELSPEC_CONTEXT_FULL;
    case Outcome::cancelled:
      return GUMBELSPEC_CANCELLED;
    case Outcome::stop:
      return GUMBELSPEC_STOP;
  }
  return GUMBELSPEC_CANCELLED;
}

void RoundView::clear(Outcome outcome) {
  round_.outcome = outcome_of(outcome);
  tokens_.clear();
  logprobs_.clear();
  top_logprobs_.clear();
  nodes_.clear();
  text_.clear();
  show();
}

bool RoundView::set(const Source& source, Outcome outcome, const LlamaModel& target,
                    server::TextStream& text) {
  clear(outcome);
  bool goes_on = true;
  for (std::size_t i = 0; i < source.tokens.size() && goes_on; ++i) {
    tokens_.push_back(shown(source.tokens[i]));
    goes_on = text.append(target.piece(source.tokens[i].token));
  }
  if (!goes_on) round_.outcome = GUMBELSPEC_STOP;
  if (!source.logprobs.empty()) {
    const std::size_t n_top = source.top_logprobs.size() / source.logprobs.size();
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      logprobs_.push_back(shown(source.logprobs[i]));
      for (const TokenLogprob& of : source.top_logprobs.subspan(i * n_top, n_top)) {
        top_logprobs_.push_back(shown(of));
      }
    }
  }
  set_tree(source.tree, source.walk);
  text_ = text.take();
  show();
  return goes_on;
}

void RoundView::finish(server::TextStream& text) {
  text.finish();
  text_ += text.take();
  show();
}

void RoundView::set_tree(const DraftTree& tree, const WalkResult& walk) {
  for (std::size_t i = 0; i < tree.size(); ++i) {
    const NodeId node = node_id(i);
    nodes_.push_back({static_cast<int>(tree.token(node)), static_cast<int>(tree.parent(node)),
                      tree.depth(node), tree.log_value(node), 0});
  }
  for (const NodeId node : walk.path) nodes_[index(node)].is_accepted = 1;
}

void RoundView::show() {
  const auto data = [](const auto& list) { return list.empty() ? nullptr : list.data(); };
  round_.tokens = data(tokens_);
  round_.n_tokens = tokens_.size();
  round_.text = text_.c_str();
  round_.n_text = text_.size();
  round_.logprobs = data(logprobs_);
  round_.top_logprobs = data(top_logprobs_);
  round_.n_top = logprobs_.empty() ? 0 : top_logprobs_.size() / logprobs_.size();
  round_.nodes = data(nodes_);
  round_.n_nodes = nodes_.size();
}

}  // namespace gumbelspec::c
