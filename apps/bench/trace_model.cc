#include "apps/bench/trace_model.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "apps/bench/record.h"

namespace gumbelspec::apps::bench {
namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

// SplitMix64's step: any function would do that is the same everywhere.
std::uint64_t mixed(std::uint64_t hash, std::uint64_t value) {
  hash += value + 0x9e3779b97f4a7c15U;
  hash = (hash ^ (hash >> 30U)) * 0xbf58476d1ce4e5b9U;
  hash = (hash ^ (hash >> 27U)) * 0x94d049bb133111ebU;
  return hash ^ (hash >> 31U);
}

}  // namespace

TraceModel::TraceModel(const Trace& trace, TraceSide side, const TraceModel* root_of)
    : trace_(trace),
      side_(side),
      root_of_(root_of),
      limits_(trace.models.limits[static_cast<std::size_t>(side)]),
      other_rows_(trace.temperatures.size()) {
  limits_.n_sequences = 1;
  for (const TraceText& text : trace.texts) {
    Rows& others = other_rows_[text.temperature];
    for (std::size_t i = 0; i < rows(text).size(); ++i) {
      const TraceRow* row = &rows(text)[i];
      others.all.push_back(row);
      const TokenId last = text.tokens[text.n_prompt - 1 + i];
      others.after[static_cast<std::int32_t>(last)].push_back(row);
    }
  }
}

const std::vector<TraceRow>& TraceModel::rows(const TraceText& text) const {
  return side_ == TraceSide::target ? text.target : text.draft;
}

void TraceModel::begin(const TraceText& text) {
  require(pending_.empty(), "TraceModel::begin: tokens are pending");
  text_ = &text;
}

bool TraceModel::is_end(TokenId token) const {
  const std::vector<TokenId>& ends = trace_.models.end_tokens;
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

SeqId TraceModel::open() {
  require(!is_open_, "TraceModel::open: there is one sequence only");
  is_open_ = true;
  truncate(SeqId{0}, 0);
  return SeqId{0};
}
void TraceModel::close(SeqId /*seq*/) {
  is_open_ = false;
  pending_.clear();
}

std::size_t TraceModel::n_committed(SeqId /*seq*/) const { return n_held_; }

PassOutcome TraceModel::extend(SeqId /*seq*/, std::span<const TokenId> tokens) {
  require(pending_.empty(), "TraceModel::extend: tokens are pending");
  if (n_held_ + tokens.size() > limits_.n_context) return PassOutcome::no_space;
  for (std::size_t i = 0; i < tokens.size() && !was_cut_; ++i) {
    const std::size_t position = n_held_ + i;
    is_on_text_ = is_on_text_ && text_ != nullptr && position < text_->tokens.size() &&
                  text_->tokens[position] == tokens[i];
  }
  n_held_ += tokens.size();
  if (!tokens.empty()) seconds_ += cost_.seconds(tokens.size());
  return PassOutcome::ok;
}

TraceModel::Place TraceModel::place_of(const Pending& pending) const {
  const std::vector<TraceRow>& own = rows(*text_);
  const std::size_t first = text_->n_prompt - 1;
  if (pending.is_on_text && pending.position >= first && pending.position - first < own.size()) {
    return {&own[pending.position - first], true, 0};
  }
  const Rows& others = other_rows_[text_->temperature];
  const auto same = others.after.find(static_cast<std::int32_t>(pending.token));
  const std::vector<const TraceRow*>& from = same == others.after.end() ? others.all : same->second;
  return {from[pending.hash % from.size()], false, pending.hash};
}

PassOutcome TraceModel::evaluate(std::span<const PassNode> nodes) {
  require(text_ != nullptr, "TraceModel::evaluate: no text was begun");
  require(!nodes.empty() && nodes.size() <= limits_.max_pass_nodes, "TraceModel: wrong pass size");
  if (pending_.empty() && was_cut_ && root_of_ != nullptr) {
    // A reader's first pass of a round ends at the root, which the target has not committed yet.
    const std::size_t n_known = n_held_ + nodes.size();
    const std::size_t n_root = root_of_->n_held_ + 1;
    n_skipped_ = n_root > n_known ? n_root - n_known : 0;
  }
  places_.clear();
  for (const PassNode& node : nodes) {
    const bool is_first = node.parent == kCommitted;
    require(is_first || index(node.parent) < pending_.size(), "TraceModel: no such parent");
    Pending p{.parent = node.parent, .position = n_held_ + n_skipped_, .token = node.token};
    p.is_on_text = is_on_text_;
    p.hash = text_->seed;
    if (!is_first) {
      const Pending& above = pending_[index(node.parent)];
      p.position = above.position + 1;
      p.is_on_text = above.is_on_text;
      p.hash = above.hash;
    }
    p.is_on_text = p.is_on_text && p.position < text_->tokens.size() &&
                   text_->tokens[p.position] == node.token;
    p.hash = mixed(p.hash + p.position, index(node.token));
    pending_.push_back(p);
    places_.push_back(place_of(p));
  }
  is_filled_.assign(places_.size(), 0);
  if (dense_.size() < places_.size()) dense_.resize(places_.size());
  seconds_ += cost_.seconds(nodes.size());
  return PassOutcome::ok;
}

// The rest is spread over as many tokens as it had, beginning anywhere.
void TraceModel::fill_other_row(const Place& place, std::span<float> out) const {
  const TraceRow& row = *place.row;
  if (row.n_rest == 0) return;
  const float t = trace_.temperatures[text_->temperature];
  const float each =
      (row.log_rest - std::log(static_cast<float>(row.n_rest))) * (t > 0.0F ? t : 1.0F);
  std::size_t at = place.hash % out.size();
  for (std::size_t n = row.n_rest; n > 0; at = (at + 1) % out.size()) {
    if (std::isfinite(out[at])) continue;
    out[at] = each;
    --n;
  }
}

std::span<const float> TraceModel::row(std::size_t i) const {
  require(i < places_.size(), "TraceModel::row: no such node");
  std::vector<float>& dense = dense_[i];
  if (is_filled_[i] == 0) {
    dense.resize(limits_.n_vocab);
    fill_exact_row(*places_[i].row, dense);
    if (!places_[i].is_on_text) fill_other_row(places_[i], dense);
    is_filled_[i] = 1;
  }
  return dense;
}

void TraceModel::commit(SeqId /*seq*/, std::span<const PendingId> path) {
  for (const PendingId id : path) {
    require(index(id) < pending_.size(), "TraceModel::commit: nothing pending by this id");
    is_on_text_ = pending_[index(id)].is_on_text;
    ++n_held_;
  }
  pending_.clear();
}

void TraceModel::truncate(SeqId /*seq*/, std::size_t n) {
  require(n <= n_held_ || n == 0, "TraceModel::truncate: the text is shorter");
  was_cut_ = n > 0 && (was_cut_ || n < n_held_);
  if (n == 0) {
    is_on_text_ = true;
    n_skipped_ = 0;
  }
  n_held_ = n;
  pending_.clear();
}

}  // namespace gumbelspec::apps::bench
