#include "src/engine/round.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace gumbelspec {

Round::Round(LanguageModel& target, LanguageModel* draft, CostModel& costs, const Clock& clock,
             Surroundings surroundings)
    : target_(target),
      costs_(costs),
      clock_(clock),
      surroundings_(std::move(surroundings)),
      drafting_(draft, target.limits(), costs, clock, surroundings_.make_room) {
  pass_.reserve(target.limits().max_pass_nodes);
  commit_.reserve(target.limits().max_pass_nodes);
}

bool Round::run(Texts& texts, const RoundPlan* plan) {
  target_s_ = 0.0;
  return draft_trees(texts, plan) && verify_trees(texts);
}

// Returns: whether the round goes on.
bool Round::draft_trees(Texts& texts, const RoundPlan* plan) {
  try {
    const PassOutcome outcome = drafting_.draft(texts, plan);
    if (outcome == PassOutcome::cancelled) stop(texts, Outcome::cancelled);
    return outcome == PassOutcome::ok;
  } catch (const Error& error) {
    // Who did not draft is as it was, and has its round in the next step.
    std::erase_if(texts, [](const Text* text) { return !text->has_drafted; });
    fail(texts, error);
    return false;
  }
}

PassOutcome Round::evaluate_trees(const Texts& texts) {
  pass_.clear();
  first_rows_.clear();
  for (const Text* text : texts) {
    first_rows_.push_back(pass_.size());
    const DraftTree& tree = text->tree;
    for (std::size_t i = 0; i < tree.size(); ++i) {
      const NodeId node = node_id(i);
      const PendingId parent = i == 0 ? kCommitted : pending_id(index(tree.parent(node)));
      pass_.push_back({text->sequence(), parent, tree.token(node), true});
    }
  }
  const ClockWatch watch(clock_);
  const PassOutcome outcome = target_.evaluate(pass_);
  const double seconds = watch.seconds();
  target_s_ += seconds;
  // A cancelled pass said nothing.
  if (outcome == PassOutcome::ok) {
    costs_.target.observe(pass_.size() + target_.n_extra(), seconds);
  }
  return outcome;
}

PassOutcome Round::evaluate_where_there_is_room(Texts& texts) {
  PassOutcome outcome = evaluate_trees(texts);
  while (outcome == PassOutcome::no_space && surroundings_.make_room()) {
    outcome = evaluate_trees(texts);
  }
  const auto is_drafted = [](const Text* text) { return text->tree.n_drafted() > 0; };
  if (outcome == PassOutcome::no_space && std::any_of(texts.begin(), texts.end(), is_drafted)) {
    for (Text* text : texts) text->drop_tree();  // without drafts there may be enough
    outcome = evaluate_trees(texts);
  }
  // The last one that came makes room for the others.
  while (outcome == PassOutcome::no_space) {
    texts.back()->outcome = Outcome::context_full;
    surroundings_.forget(*texts.back());
    texts.pop_back();
    if (texts.empty()) return outcome;
    outcome = evaluate_trees(texts);
  }
  return outcome;
}

bool Round::verify_trees(Texts& texts) {
  try {
    trim_(texts, target_.limits().max_pass_nodes, target_.limits().max_leaves);
    const PassOutcome outcome = evaluate_where_there_is_room(texts);
    if (outcome == PassOutcome::cancelled) stop(texts, Outcome::cancelled);
    if (outcome != PassOutcome::ok) return false;
  } catch (const Error& error) {
    fail(texts, error);
    return false;
  }
  walk_trees(texts);
  commit_trees(texts);
  return true;
}

// The rows are gone with the first commit, so all texts walk before.
void Round::walk_trees(const Texts& texts) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Text& text = *texts[i];
    try {
      text.walk_tree(target_, first_rows_[i]);
    } catch (const Error& error) {
      text.error = error;
    } catch (const std::exception& error) {
      text.error = Error(ErrorCode::evaluation_failed, error.what());
    }
  }
}

void Round::commit_trees(const Texts& texts) {
  for (Text* text : texts) {
    if (text->error) {
      text->outcome = Outcome::cancelled;
      continue;
    }
    text->commit(target_, commit_);
    text->outcome = text->emit(target_);
  }
}

double Round::counted_s() const {
  return costs_.target.seconds(pass_.size()) + drafting_.counted_s();
}

// A pass failed: nothing is known of the sequences that it was about.
void Round::fail(const Texts& texts, const Error& error) {
  for (Text* text : texts) text->error = error;
  stop(texts, Outcome::cancelled);
}

void Round::stop(const Texts& texts, Outcome outcome) {
  for (Text* text : texts) {
    text->outcome = outcome;
    surroundings_.forget(*text);
  }
}

}  // namespace gumbelspec
