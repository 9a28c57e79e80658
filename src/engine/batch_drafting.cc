#include "src/engine/batch_drafting.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "src/engine/stopwatch.h"

namespace gumbelspec {
namespace {

// Rounds of one text that count for the rate, about; of many texts fewer say as much.
constexpr double kRateWindow = 60.0;
constexpr double kLeastWindow = 8.0;
constexpr double kPriorRounds = 4.0;
// Texts that gave up drafting are asked again every so many rounds.
constexpr std::size_t kAskEvery = 8;
// Tokens that a text may have to read besides its root without the others' noticing.
constexpr std::size_t kFewMissing = 4;
// Nodes of less value are never worth verifying.
constexpr double kLeastValue = 0.002;

}  // namespace

BatchRate::BatchRate(const CostModel& costs) : costs_(costs), own_(kRateWindow) {}

double BatchRate::plain_s(std::size_t n) const { return std::max(costs_.target.seconds(n), 1e-9); }

void BatchRate::begin_round(std::size_t n_texts) {
  if (n_texts == n_texts_ || n_texts == 0) return;
  if (n_texts_ == 0) {
    tokens_ = kPriorRounds * static_cast<double>(n_texts);
    seconds_ = kPriorRounds * plain_s(n_texts);
  } else {
    tokens_ *= static_cast<double>(n_texts) / static_cast<double>(n_texts_);
    seconds_ *= plain_s(n_texts) / plain_s(n_texts_);
  }
  n_texts_ = n_texts;
}

double BatchRate::rate() const {
  if (seconds_ <= 0.0) return 0.0;
  const auto n = static_cast<double>(n_texts_);
  return std::max(tokens_ / seconds_, n / (plain_s(n_texts_) + n * own_.per_text()));
}

void BatchRate::end_round(std::size_t n_tokens, std::size_t n_nodes, double seconds, double pass_s,
                          bool is_plain) {
  const auto n = static_cast<double>(std::max<std::size_t>(n_texts_, 1));
  const double fade = 1.0 - 1.0 / std::max(kRateWindow / n, kLeastWindow);
  tokens_ = tokens_ * fade + static_cast<double>(n_tokens);
  seconds_ = seconds_ * fade + seconds;
  // What a draft takes that comes to nothing is no part of what plain rounds take.
  if (n_nodes == 0 && !is_plain) return;
  own_.observe(std::max<std::size_t>(n_texts_, 1), n_nodes, seconds - pass_s);
}

BatchDrafting::BatchDrafting(LanguageModel& draft, const ModelLimits& target, CostModel& costs,
                             const Clock& clock, std::function<bool()> make_room)
    : draft_(draft),
      target_(target),
      costs_(costs),
      clock_(clock),
      make_room_(std::move(make_room)) {
  pass_.reserve(draft.limits().max_pass_nodes);
}

// What text i meets in the draft's pass of this level: those before it have been asked, of those
// behind it the last round is what is known.
void BatchDrafting::set_company(Texts texts, std::size_t i, std::size_t level) {
  Planner* planner = texts[i]->drafter()->planner();
  if (planner == nullptr) return;
  Company others;
  others.rate = rate_;
  others.own_node_s = own_node_s_;
  others.n_texts = texts.size() - 1;
  others.is_asking = n_rounds_ % kAskEvery == 0;
  others.may_probe = !has_probed_;
  for (std::size_t j = 0; j < texts.size(); ++j) {
    if (j == i) continue;
    const BatchText& text = *texts[j];
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

double BatchDrafting::spent_s() const {
  return costs_.draft.refines() ? std::max(pass_s_ + take_s_, 0.0) : counted_s_;
}

// Nodes of the draft's next pass for which there is time, and then for one of each text in the
// target's. The first pass has what the texts wait with, too: has_time_to_catch_up().
std::size_t BatchDrafting::n_pass_nodes(Texts texts, std::size_t level) const {
  const std::size_t most = draft_.limits().max_pass_nodes;
  if (level == 0 || !std::isfinite(limit_s_)) return most;
  const double left = limit_s_ - spent_s() - costs_.target.seconds(2 * texts.size());
  std::size_t n = 0;
  while (n < most && costs_.draft.seconds(n + 1) <= left) ++n;
  return n;
}

// One text per round, where rounds are not to take long: it has its first nodes a round later than
// the others, which do not wait for it meanwhile.
bool BatchDrafting::has_time_to_catch_up(BatchText& text) {
  if (!std::isfinite(limit_s_)) return true;
  const std::size_t n = text.drafter()->reader().n_missing(text.text());
  if (n <= kFewMissing) return true;
  return !std::exchange(has_caught_up_, true);
}

// What is read at once, because it is too much for the pass, counts as a pass.
PassOutcome BatchDrafting::append_text(BatchText& text, const StepDrafter::Room& room) {
  const std::size_t n_missing = text.drafter()->reader().n_missing(text.text());
  const std::size_t n_before = pass_.size();
  const ClockWatch watch(clock_);
  const PassOutcome outcome = text.drafter()->append(room, pass_);
  if (pass_.size() > n_before && !text.drafter()->is_one_pass()) {
    pass_s_ += watch.seconds();
    const std::size_t n_here = std::min(pass_.size() - n_before, n_missing);
    counted_s_ += costs_.draft.seconds(std::max<std::size_t>(n_missing - n_here, 1));
  }
  return outcome;
}

PassOutcome BatchDrafting::append_level(Texts texts, std::size_t level) {
  pass_.clear();
  const ModelLimits& limits = draft_.limits();
  const std::size_t n_most = n_pass_nodes(texts, level);
  std::size_t n_ends = 0;
  std::size_t n_behind = 0;  // texts that may still want a place
  for (const BatchText* text : texts) {
    if (text->has_drafted) n_ends += text->drafter()->reader().n_ends();
    if (text->is_drafting) ++n_behind;
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    BatchText& text = *texts[i];
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
    const std::size_t n_before = text.drafter()->reader().n_ends();
    const PassOutcome outcome =
        append_text(text, {n_most - pass_.size() - n_behind,
                           limits.max_leaves - std::min(limits.max_leaves, n_ends)});
    if (outcome == PassOutcome::cancelled) return outcome;
    n_ends += text.drafter()->reader().n_ends() - n_before;
    text.n_nodes = pass_.size() - text.first_node;
    const bool is_probe = text.drafter()->n_probe() > 0;
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

PassOutcome BatchDrafting::run_pass(Texts texts) {
  const ClockWatch watch(clock_);
  PassOutcome outcome = draft_.evaluate(pass_);
  while (outcome == PassOutcome::no_space && make_room_()) outcome = draft_.evaluate(pass_);
  const double seconds = watch.seconds();
  pass_s_ += seconds;
  counted_s_ += costs_.draft.seconds(pass_.size());
  for (BatchText* text : texts) {
    if (text->n_nodes > 0) text->drafter()->reader().count_pass(seconds);
  }
  if (outcome == PassOutcome::ok) take_level(texts, seconds);
  return outcome;
}

void BatchDrafting::take_level(Texts texts, double pass_s) {
  const ClockWatch watch(clock_);
  bool is_one_pass = true;
  for (BatchText* text : texts) {
    if (text->n_nodes == 0) continue;
    text->drafter()->take(text->first_node);
    is_one_pass = is_one_pass && text->drafter()->is_one_pass();
  }
  // As a session counts it: what is done with the rows belongs to the price of a level.
  const double take_s = watch.seconds();
  take_s_ += take_s;
  const double seconds = pass_s + take_s;
  const bool is_first = std::exchange(last_pass_round_, n_rounds_) + 1 < n_rounds_;
  if (is_one_pass) costs_.draft.observe(pass_.size(), seconds, is_first);
  for (BatchText* text : texts) {
    if (text->n_nodes == 0 || text->drafter()->n_probe() == 0) continue;
    const double share = static_cast<double>(text->n_nodes) / static_cast<double>(pass_.size());
    text->drafter()->planner()->probed(text->drafter()->n_probe(), seconds * share);
  }
}

PassOutcome BatchDrafting::draft(Texts texts, const BatchRate& rate, double limit_s) {
  skip_round();
  rate_ = rate.rate();
  own_node_s_ = rate.own_node_s();
  limit_s_ = limit_s - rate.own_round_s();
  has_probed_ = has_caught_up_ = false;
  ++n_rounds_;
  for (std::size_t level = 0;; ++level) {
    PassOutcome outcome = append_level(texts, level);
    if (outcome == PassOutcome::ok && pass_.empty()) break;
    if (outcome == PassOutcome::ok) outcome = run_pass(texts);
    if (outcome == PassOutcome::cancelled) return outcome;
    if (outcome == PassOutcome::no_space) break;  // verify what there is
  }
  finish(texts);
  return PassOutcome::ok;
}

void BatchDrafting::finish(Texts texts) {
  std::size_t n_planned = 0;
  for (BatchText* text : texts) {
    if (!text->has_drafted) continue;
    if (text->drafter()->planner() != nullptr) {
      ++n_planned;
    } else {
      text->drafter()->finish();
    }
  }
  if (n_planned == 0) return;
  if (texts.size() == 1 && !std::isfinite(limit_s_)) {
    texts[0]->drafter()->finish();
  } else {
    choose_by_value(texts);
  }
}

// Of n_most nodes beside n_fixed ones in the target's pass.
std::size_t BatchDrafting::n_verified_in_time(std::size_t n_fixed, std::size_t n_most) const {
  if (!std::isfinite(limit_s_)) return n_most;
  const double left = limit_s_ - spent_s();
  std::size_t n = 0;
  while (n < n_most &&
         costs_.target.seconds(n_fixed + n + 1) + own_node_s_ * static_cast<double>(n + 1) <=
             left) {
    ++n;
  }
  return n;
}

std::size_t BatchDrafting::n_in_time(std::size_t n_texts, std::size_t n_most,
                                     double limit_s) const {
  if (!std::isfinite(limit_s)) return n_most;
  const double left = limit_s - costs_.draft.seconds(n_texts);
  std::size_t n = 0;
  while (n < n_most && costs_.target.seconds(n_texts + n + 1) <= left) ++n;
  return n;
}

// The best nodes of all planned trees, as many as pay. The same as one plan over one large tree.
void BatchDrafting::choose_by_value(Texts texts) {
  values_.clear();
  std::size_t n_fixed = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    n_fixed += texts[i]->tree.size();
    if (!texts[i]->has_drafted || texts[i]->drafter()->planner() == nullptr) continue;
    const auto values = texts[i]->drafter()->values();
    const auto most = static_cast<std::size_t>(texts[i]->options().method.node_limit());
    for (const double value : values.first(std::min(values.size(), most))) {
      if (value < kLeastValue) break;
      values_.push_back({value, i});
    }
  }
  std::sort(values_.begin(), values_.end(), [](const Value& a, const Value& b) {
    return a.value != b.value ? a.value > b.value : a.text < b.text;
  });
  const std::size_t n_free = target_.max_pass_nodes - std::min(n_fixed, target_.max_pass_nodes);
  values_.resize(n_verified_in_time(n_fixed, std::min(values_.size(), n_free)));
  sorted_.clear();
  for (const Value& v : values_) sorted_.push_back(v.value);
  const Prices prices{&costs_, rate_, {.n_verified = n_fixed - 1}, own_node_s_};
  const std::size_t n = best_node_count(sorted_, prices).n;
  n_chosen_.assign(texts.size(), 0);
  for (const Value& v : std::span(values_).first(n)) ++n_chosen_[v.text];
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (!texts[i]->has_drafted) continue;
    Planner* planner = texts[i]->drafter()->planner();
    if (planner == nullptr) continue;
    planner->set_company({.n_texts = texts.size() - 1,
                          .n_verified = n_fixed + n - n_chosen_[i] - 1,
                          .rate = rate_,
                          .own_node_s = own_node_s_});
    texts[i]->drafter()->finish(n_chosen_[i]);
  }
}

void BatchTrim::operator()(BatchDrafting::Texts texts, std::size_t max_nodes,
                           std::size_t max_leaves) {
  std::size_t n_nodes = 0;
  std::size_t n_leaves = 0;
  for (const BatchText* text : texts) {
    n_nodes += text->tree.size();
    n_leaves += std::max<std::size_t>(text->tree.n_leaves(), 1);
  }
  if (n_nodes <= max_nodes && n_leaves <= max_leaves) return;
  nodes_.clear();
  keep_.resize(std::max(keep_.size(), texts.size()));
  for (std::size_t t = 0; t < texts.size(); ++t) {
    const DraftTree& tree = texts[t]->tree;
    keep_[t].assign(tree.size(), 0);
    keep_[t][index(kRoot)] = 1;
    for (std::size_t i = 1; i < tree.size(); ++i) {
      nodes_.push_back({tree.log_value(node_id(i)), t, node_id(i)});
    }
  }
  // No node is worth more than its parent, which has the smaller id.
  std::sort(nodes_.begin(), nodes_.end(), [](const Node& a, const Node& b) {
    if (a.log_value != b.log_value) return a.log_value > b.log_value;
    return a.text != b.text ? a.text < b.text : a.node < b.node;
  });
  // 2: kept, and has a kept child.
  n_nodes = n_leaves = texts.size();
  for (const Node& node : nodes_) {
    if (n_nodes == max_nodes) break;
    char& parent = keep_[node.text][index(texts[node.text]->tree.parent(node.node))];
    if (parent == 0 || (parent == 2 && n_leaves == max_leaves)) continue;
    if (parent == 2) ++n_leaves;
    parent = 2;
    keep_[node.text][index(node.node)] = 1;
    ++n_nodes;
  }
  for (std::size_t t = 0; t < texts.size(); ++t) {
    DraftTree& tree = texts[t]->tree;
    if (tree.n_drafted() == 0) continue;
    new_ids_.resize(tree.size());
    tree.prune(keep_[t], new_ids_);
    if (texts[t]->has_drafted) texts[t]->drafter()->renumber(new_ids_);
  }
}

}  // namespace gumbelspec
