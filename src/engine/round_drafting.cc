#include "src/engine/round_drafting.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "src/engine/plan.h"

namespace gumbelspec {
namespace {

// Texts that gave up drafting are asked again every so many rounds.
constexpr std::size_t kAskEvery = 8;
// Nodes of less value are never worth verifying.
constexpr double kLeastValue = 0.002;

}  // namespace

RoundDrafting::RoundDrafting(LanguageModel* draft, const ModelLimits& target, CostModel& costs,
                             const Clock& clock, std::function<bool()> make_room)
    : draft_(draft),
      target_(target),
      costs_(costs),
      clock_(clock),
      make_room_(std::move(make_room)) {
  if (draft != nullptr) pass_.reserve(draft->limits().max_pass_nodes);
}

// What text i meets in the draft's pass of this level: those before it have been asked, of those
// behind it the last round is what is known.
void RoundDrafting::set_company(Texts texts, std::size_t i, std::size_t level) {
  Planner* planner = texts[i]->planner();
  if (planner == nullptr || is_alone_) return;
  Company others;
  others.rate = plan_.rate;
  others.own_node_s = plan_.own_node_s;
  others.n_texts = texts.size() - 1;
  others.is_asking = n_rounds_ % kAskEvery == 0;
  others.may_probe = !has_probed_;
  for (std::size_t j = 0; j < texts.size(); ++j) {
    if (j == i) continue;
    const Text& text = *texts[j];
    others.n_verified += text.n_last;
    std::size_t n = 0;
    if (j < i) {
      n = text.n_nodes;
    } else if (text.is_drafting) {
      n = level < text.by_level.size() ? text.by_level[level] : 0;
      // Somebody has to go first.
      if (others.is_asking) n = std::max<std::size_t>(n, 1);
    }
    others.n_drafted += n;
    if (n > 0) ++others.n_drafting;
  }
  planner->set_company(others);
}

double RoundDrafting::spent_s() const {
  return costs_.draft.refines() ? std::max(pass_s_ + take_s_, 0.0) : counted_s_;
}

// Nodes of the draft's next pass for which there is time, and then for one of each text in the
// target's. The first pass has what the texts wait with, too: has_time_to_catch_up().
std::size_t RoundDrafting::n_pass_nodes(Texts texts, std::size_t level) const {
  const std::size_t most = draft_->limits().max_pass_nodes;
  if (level == 0 || !std::isfinite(plan_.limit_s)) return most;
  const double left = plan_.limit_s - spent_s() - costs_.target.seconds(2 * texts.size());
  std::size_t n = 0;
  while (n < most && costs_.draft.seconds(n + 1) <= left) ++n;
  return n;
}

// One text per round, where rounds are not to take long: it has its first nodes a round later than
// the others, which do not wait for it meanwhile.
bool RoundDrafting::has_time_to_catch_up(Text& text) {
  if (!std::isfinite(plan_.limit_s)) return true;
  const std::size_t n = text.reader()->n_missing(text.tokens());
  if (n <= kFewMissing) return true;
  return !std::exchange(has_caught_up_, true);
}

// What is read at once, because it is too much for the pass, counts as a pass.
PassOutcome RoundDrafting::append_text(Text& text, const DraftRoom& room) {
  const std::size_t n_before = pass_.size();
  const ClockWatch watch(clock_);
  const PassOutcome outcome = text.append(room, pass_);
  const std::size_t n_apart = text.reader()->n_read_apart();
  if (pass_.size() > n_before && n_apart > 0) {
    pass_s_ += watch.seconds();
    counted_s_ += costs_.draft.seconds(n_apart);
  }
  return outcome;
}

PassOutcome RoundDrafting::append_level(Texts texts, std::size_t level) {
  pass_.clear();
  const ModelLimits& limits = draft_->limits();
  const std::size_t n_most = n_pass_nodes(texts, level);
  std::size_t n_ends = 0;
  std::size_t n_behind = 0;  // texts that may still want a place
  for (const Text* text : texts) {
    if (text->has_drafted && text->reader() != nullptr) n_ends += text->reader()->n_ends();
    if (text->is_drafting) ++n_behind;
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Text& text = *texts[i];
    text.n_nodes = 0;
    if (!text.is_drafting) continue;
    --n_behind;
    // Every text behind this one needs a place.
    if (n_most <= pass_.size() + n_behind || (level == 0 && !has_time_to_catch_up(text))) {
      text.is_drafting = false;
      continue;
    }
    set_company(texts, i, level);
    text.first_node = pass_.size();
    const std::size_t n_before = text.reader()->n_ends();
    // Where nothing can branch, another text's place is of no use.
    const std::size_t n_free =
        limits.can_branch ? limits.max_leaves - std::min(limits.max_leaves, n_ends) : 0;
    const PassOutcome outcome = append_text(text, {n_most - pass_.size() - n_behind, n_free});
    if (outcome == PassOutcome::cancelled) return outcome;
    n_ends += text.reader()->n_ends() - n_before;
    text.n_nodes = pass_.size() - text.first_node;
    const bool is_probe = text.planner() != nullptr && text.planner()->n_probe() > 0;
    has_probed_ = has_probed_ || is_probe;
    // A draft without room drafts nothing further in this round.
    if (text.n_nodes == 0 || outcome == PassOutcome::no_space) text.is_drafting = false;
    if (level >= text.by_level.size()) continue;
    text.by_level[level] = is_probe ? 0 : text.n_nodes;
    if (text.n_nodes == 0) {
      std::fill(text.by_level.begin() + static_cast<std::ptrdiff_t>(level), text.by_level.end(), 0);
    }
  }
  return PassOutcome::ok;
}

PassOutcome RoundDrafting::run_pass(Texts texts) {
  const ClockWatch watch(clock_);
  PassOutcome outcome = draft_->evaluate(pass_);
  while (outcome == PassOutcome::no_space && make_room_()) outcome = draft_->evaluate(pass_);
  const double seconds = watch.seconds();
  pass_s_ += seconds;
  counted_s_ += costs_.draft.seconds(pass_.size());
  for (Text* text : texts) {
    if (text->n_nodes > 0) text->reader()->count_pass(seconds);
  }
  n_extra_ = draft_->n_extra();
  if (outcome == PassOutcome::ok) take_level(texts, seconds);
  return outcome;
}

void RoundDrafting::take_level(Texts texts, double pass_s) {
  const ClockWatch watch(clock_);
  bool is_one_pass = true;
  for (Text* text : texts) {
    if (text->n_nodes == 0) continue;
    text->take(text->first_node);
    is_one_pass = is_one_pass && text->reader()->n_read_apart() == 0;
  }
  // What is done with the rows belongs to the price of a level.
  const double take_s = watch.seconds();
  take_s_ += take_s;
  const double seconds = pass_s + take_s;
  const bool is_first = std::exchange(last_pass_round_, n_rounds_) + 1 < n_rounds_;
  if (is_one_pass) costs_.draft.observe(pass_.size() + n_extra_, seconds, is_first);
  for (Text* text : texts) {
    Planner* planner = text->planner();
    if (text->n_nodes == 0 || planner == nullptr || planner->n_probe() == 0) continue;
    const double share = static_cast<double>(text->n_nodes) / static_cast<double>(pass_.size());
    planner->probed(seconds * share);
  }
}

PassOutcome RoundDrafting::draft(Texts texts, const RoundPlan* plan) {
  pass_s_ = take_s_ = counted_s_ = 0.0;
  is_alone_ = plan == nullptr;
  plan_ = is_alone_ ? RoundPlan{.limit_s = HUGE_VAL} : *plan;
  has_probed_ = has_caught_up_ = false;
  ++n_rounds_;
  for (std::size_t level = 0; draft_ != nullptr; ++level) {
    PassOutcome outcome = append_level(texts, level);
    if (outcome == PassOutcome::ok && pass_.empty()) break;
    if (outcome == PassOutcome::ok) outcome = run_pass(texts);
    if (outcome == PassOutcome::cancelled) return outcome;
    if (outcome == PassOutcome::no_space) break;  // verify what there is
  }
  finish(texts);
  return PassOutcome::ok;
}

void RoundDrafting::finish(Texts texts) {
  const bool plans_together = texts.size() > 1 || std::isfinite(plan_.limit_s);
  bool is_any_planned = false;
  for (Text* text : texts) {
    if (!text->has_drafted) continue;
    if (plans_together && text->planner() != nullptr) {
      is_any_planned = true;
    } else {
      text->finish();
    }
  }
  if (is_any_planned) choose_by_value(texts);
}

// Of n_most nodes beside n_fixed ones in the target's pass.
std::size_t RoundDrafting::n_verified_in_time(std::size_t n_fixed, std::size_t n_most) const {
  if (!std::isfinite(plan_.limit_s)) return n_most;
  const double left = plan_.limit_s - spent_s();
  std::size_t n = 0;
  while (n < n_most &&
         costs_.target.seconds(n_fixed + n + 1) + plan_.own_node_s * static_cast<double>(n + 1) <=
             left) {
    ++n;
  }
  return n;
}

std::size_t RoundDrafting::n_in_time(std::size_t n_texts, std::size_t n_most,
                                     double limit_s) const {
  if (!std::isfinite(limit_s)) return n_most;
  const double left = limit_s - costs_.draft.seconds(n_texts);
  std::size_t n = 0;
  while (n < n_most && costs_.target.seconds(n_texts + n + 1) <= left) ++n;
  return n;
}

// The best nodes of all planned trees, as many as pay. The same as one plan over one large tree.
void RoundDrafting::choose_by_value(Texts texts) {
  values_.clear();
  std::size_t n_fixed = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    n_fixed += texts[i]->tree.size();
    if (!texts[i]->has_drafted || texts[i]->planner() == nullptr) continue;
    const auto values = texts[i]->values();
    const auto most = static_cast<std::size_t>(texts[i]->options().method.node_limit());
    for (const double value : values.first(std::min(values.size(), most))) {
      if (value < kLeastValue) break;
      values_.push_back({value, i});
    }
  }
  n_chosen_.assign(texts.size(), 0);
  if (target_.can_branch) {
    choose_among_all(n_fixed);
  } else {
    choose_one_length(texts, n_fixed);
  }
  std::size_t n = 0;
  for (const std::size_t chosen : n_chosen_) n += chosen;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (!texts[i]->has_drafted) continue;
    Planner* planner = texts[i]->planner();
    if (planner == nullptr) continue;
    planner->set_company({.n_texts = texts.size() - 1,
                          .n_verified = n_fixed + n - n_chosen_[i] - 1,
                          .rate = plan_.rate,
                          .own_node_s = plan_.own_node_s});
    texts[i]->finish(n_chosen_[i]);
  }
}

void RoundDrafting::choose_among_all(std::size_t n_fixed) {
  std::sort(values_.begin(), values_.end(), [](const Value& a, const Value& b) {
    return a.value != b.value ? a.value > b.value : a.text < b.text;
  });
  const std::size_t n_free = target_.max_pass_nodes - std::min(n_fixed, target_.max_pass_nodes);
  values_.resize(n_verified_in_time(n_fixed, std::min(values_.size(), n_free)));
  sorted_.clear();
  for (const Value& v : values_) sorted_.push_back(v.value);
  const Prices prices{&costs_, plan_.rate, {.n_verified = n_fixed - 1}, plan_.own_node_s};
  const std::size_t n = best_node_count(sorted_, prices).n;
  for (const Value& v : std::span(values_).first(n)) ++n_chosen_[v.text];
}

// Chains of several texts are computed as if all were as long as the longest one, so one length is
// chosen for all of them; nobody gains by a shorter one. Requires: values_ in the texts' order.
void RoundDrafting::choose_one_length(Texts texts, std::size_t n_fixed) {
  const Prices prices{&costs_, plan_.rate, {.n_verified = n_fixed - 1}, plan_.own_node_s};
  const std::size_t n_free = target_.max_pass_nodes - std::min(n_fixed, target_.max_pass_nodes);
  const std::size_t n_in_time = n_verified_in_time(n_fixed, n_free);
  double best_gain = 0.0;
  std::size_t best = 0;
  double tokens = 0.0;
  for (std::size_t length = 1; length * texts.size() <= n_in_time; ++length) {
    bool is_any = false;
    std::size_t depth = 0;
    for (std::size_t v = 0; v < values_.size(); ++v) {
      depth = v > 0 && values_[v].text == values_[v - 1].text ? depth + 1 : 1;
      if (depth != length) continue;
      tokens += values_[v].value;
      is_any = true;
    }
    if (!is_any) break;
    const double gain = tokens - prices.verify(length * texts.size());
    if (gain <= best_gain) continue;
    best_gain = gain;
    best = length;
  }
  for (const Value& v : values_) n_chosen_[v.text] = std::min(n_chosen_[v.text] + 1, best);
}

}  // namespace gumbelspec
