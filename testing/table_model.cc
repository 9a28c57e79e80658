#include "testing/table_model.h"

#include <algorithm>
#include <random>
#include <stdexcept>

namespace gumbelspec::testing {
namespace {

constexpr TokenId kNoToken{-1};

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

}  // namespace

TableModel::TableModel(const Options& options) : options_(options) {
  const std::size_t n = options.n_vocab;
  limits_ = {.n_vocab = n,
             .n_context = options.n_context,
             .max_pass_nodes = 256,
             .max_leaves = 64,
             .can_branch = true,
             .can_drop = true,
             .n_sequences = 64};
  table_.resize((n + 1) * (n + 1) * n);
  std::mt19937_64 random(options.seed);
  for (float& logit : table_) {
    // Not std::uniform_real_distribution, which differs between libraries.
    const double unit = static_cast<double>(random() >> 11U) / 9007199254740992.0;
    logit = static_cast<float>((2.0 * unit - 1.0) * static_cast<double>(options.spread));
  }
}

TableModel TableModel::draft_of(const TableModel& target, float share, std::uint64_t seed) {
  Options options = target.options_;
  options.seed = seed;
  TableModel draft(options);
  for (std::size_t i = 0; i < draft.table_.size(); ++i) {
    draft.table_[i] = share * target.table_[i] + (1.0F - share) * draft.table_[i];
  }
  return draft;
}

TableModel TableModel::head_of(TableModel& target, float share, std::uint64_t seed,
                               bool own_states_err) {
  TableModel head = draft_of(target, share, seed);
  constexpr std::size_t kStateSize = 2;
  target.limits_.n_state = head.limits_.n_input_state = kStateSize;
  head.own_states_err_ = own_states_err;
  return head;
}

void TableModel::copy_state(std::size_t i, std::span<float> out) const {
  require(limits_.n_state == out.size() && i < states_.size(), "TableModel: no such state");
  out[0] = static_cast<float>(index(states_[i].token));
  out[1] = static_cast<float>(states_[i].position);
}

// n_before: tokens that the head has read before this one, `before` the last of them. The text may
// have more, between its first token and the others.
void TableModel::check_state(const float* state, std::size_t n_before, TokenId before) {
  require(static_cast<std::size_t>(state[1]) + 1 >= n_before,
          "TableModel: the state lies too early");
  require(n_before <= 1 || token_id(static_cast<std::size_t>(state[0])) == before,
          "TableModel: the state of another token");
}

// The token before a node, as a head knows it.
TableModel::State TableModel::state_before(const Sequence& s, const PassNode& node,
                                           std::size_t depth, bool& is_blind) const {
  const std::size_t position = s.text.size() + depth;
  is_blind = false;
  const bool is_first = node.parent == kCommitted;
  TokenId before = kNoToken;
  if (!is_first) before = s.pending[index(node.parent)].token;
  if (is_first && position > 0) before = s.text.back();
  if (node.state != nullptr && (position > 0 || node.state[1] > 0.0F)) {
    check_state(node.state, position, before);
    return {token_id(static_cast<std::size_t>(node.state[0])), 0};
  }
  is_blind = position > 0;
  if (is_first) return {kNoToken, 0};
  const std::size_t said = index(before) + (own_states_err_ ? 1 : 0);
  return {token_id(said % options_.n_vocab), 0};
}

PassOutcome TableModel::extend_after(SeqId seq, std::span<const TokenId> tokens,
                                     std::span<const float> states) {
  require(limits_.is_head() && states.size() == tokens.size() * limits_.n_input_state,
          "TableModel::extend_after: states of another shape");
  Sequence& s = sequence(seq);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::size_t n_before = s.text.size() + i;
    if (n_before == 0) continue;
    check_state(states.data() + i * limits_.n_input_state, n_before,
                i == 0 ? s.text.back() : tokens[i - 1]);
  }
  const std::size_t n_blind = n_committed_blind_;
  const PassOutcome outcome = extend(seq, tokens);
  n_committed_blind_ = n_blind;
  return outcome;
}

std::size_t TableModel::table_row(TokenId before_last, TokenId last) const {
  const std::size_t n = options_.n_vocab;
  const auto at = [n](TokenId t) { return t == kNoToken ? n : index(t); };
  require(at(before_last) <= n && at(last) <= n, "TableModel: token outside the vocabulary");
  return at(before_last) * (n + 1) + at(last);
}

std::span<const float> TableModel::logits(TokenId before_last, TokenId last) const {
  const std::size_t n = options_.n_vocab;
  return std::span(table_).subspan(table_row(before_last, last) * n, n);
}

std::span<const float> TableModel::logits(std::span<const TokenId> text) const {
  const std::size_t n = text.size();
  return logits(n < 2 ? kNoToken : text[n - 2], n < 1 ? kNoToken : text[n - 1]);
}

TableModel::Sequence& TableModel::sequence(SeqId seq) {
  require(index(seq) < sequences_.size() && sequences_[index(seq)].is_open,
          "TableModel: the sequence is not open");
  return sequences_[index(seq)];
}
const TableModel::Sequence& TableModel::sequence(SeqId seq) const {
  require(index(seq) < sequences_.size() && sequences_[index(seq)].is_open,
          "TableModel: the sequence is not open");
  return sequences_[index(seq)];
}

SeqId TableModel::open() {
  std::size_t i = 0;
  while (i < sequences_.size() && sequences_[i].is_open) ++i;
  if (i == sequences_.size()) sequences_.emplace_back();
  sequences_[i] = {};
  sequences_[i].is_open = true;
  // So that whoever counts allocations sees the caller's only.
  sequences_[i].pending.reserve(limits_.max_pass_nodes);
  rows_.reserve(limits_.max_pass_nodes);
  states_.reserve(std::max(limits_.max_pass_nodes, limits_.n_context));
  wanted_.reserve(limits_.max_pass_nodes);
  sequences_[i].text.reserve(limits_.n_context);  // a text that grows must not look like ours
  return static_cast<SeqId>(i);
}

void TableModel::close(SeqId seq) { sequence(seq).is_open = false; }

std::size_t TableModel::n_committed(SeqId seq) const { return sequence(seq).text.size(); }
std::span<const TokenId> TableModel::committed(SeqId seq) const { return sequence(seq).text; }

PassOutcome TableModel::extend(SeqId seq, std::span<const TokenId> tokens) {
  Sequence& s = sequence(seq);
  require(s.pending.empty(), "TableModel::extend: tokens are pending");
  if (is_cancelled_) return PassOutcome::cancelled;
  if (is_full_ || s.text.size() + tokens.size() > limits_.n_context) return PassOutcome::no_space;
  states_.clear();
  for (std::size_t i = 0; i < tokens.size(); ++i) states_.push_back({tokens[i], s.text.size() + i});
  n_committed_blind_ += tokens.size() - (s.text.empty() && !tokens.empty() ? 1 : 0);
  s.text.insert(s.text.end(), tokens.begin(), tokens.end());
  n_read_ += tokens.size();
  n_reread_ += s.n_owed;
  s.n_owed = 0;
  return PassOutcome::ok;
}

PassOutcome TableModel::evaluate(std::span<const PassNode> nodes) {
  require(!nodes.empty() && nodes.size() <= limits_.max_pass_nodes, "TableModel: wrong pass size");
  if (is_cancelled_) return PassOutcome::cancelled;
  if (is_full_) return PassOutcome::no_space;
  rows_.clear();
  wanted_.clear();
  states_.clear();
  ++n_passes_;
  n_extra_ = 0;
  for (const PassNode& node : nodes) {
    Sequence& s = sequence(node.seq);
    s.n_last = 0;
    n_extra_ += s.n_owed;
    s.n_owed = 0;
  }
  n_reread_ += n_extra_;
  for (const PassNode& node : nodes) {
    Sequence& s = sequence(node.seq);
    const bool is_first = node.parent == kCommitted;
    require(is_first || index(node.parent) < s.pending.size(), "TableModel: no such parent");
    const Pending* parent = is_first ? nullptr : &s.pending[index(node.parent)];
    const std::size_t depth = is_first ? 0 : parent->depth + 1;
    require(s.text.size() + depth < limits_.n_context, "TableModel: a node behind the context");
    if (!limits_.can_branch) {
      for (const Pending& p : s.pending) {
        require(p.parent != node.parent, "TableModel: this model cannot branch");
      }
    }
    TokenId before = is_first ? (s.text.empty() ? kNoToken : s.text.back()) : parent->token;
    bool is_blind = false;
    if (limits_.is_head()) before = state_before(s, node, depth, is_blind).token;
    rows_.push_back(table_row(before, node.token));
    wanted_.push_back(node.wants_row);
    states_.push_back({node.token, s.text.size() + depth});
    s.pending.push_back({node.parent, node.token, depth, is_blind});
    ++s.n_last;
  }
  return PassOutcome::ok;
}

std::span<const float> TableModel::row(std::size_t i) const {
  require(i < rows_.size() && wanted_[i], "TableModel::row: this row was not asked for");
  return std::span(table_).subspan(rows_[i] * options_.n_vocab, options_.n_vocab);
}

void TableModel::commit(SeqId seq, std::span<const PendingId> path) {
  Sequence& s = sequence(seq);
  PendingId above = kCommitted;
  for (const PendingId id : path) {
    require(index(id) < s.pending.size(), "TableModel::commit: nothing pending by this id");
    require(s.pending[index(id)].parent == above, "TableModel::commit: not a path");
    s.text.push_back(s.pending[index(id)].token);
    if (s.pending[index(id)].is_blind) ++n_committed_blind_;
    above = id;
  }
  drop_all_but(s, path.size());
  s.pending.clear();
  s.n_last = 0;
}

// Of the pending tokens; checks that they can be dropped.
void TableModel::drop_all_but(Sequence& s, std::size_t n_kept) const {
  const std::size_t n_dropped = s.pending.size() - n_kept;
  if (n_dropped == 0 || limits_.can_drop) return;
  if (limits_.can_drop_passes) {
    require(n_kept > 0, "TableModel: cannot drop the first pending token");
    s.n_owed += n_kept;
    return;
  }
  require(n_dropped <= limits_.max_drop && n_dropped < s.n_last, "TableModel: cannot drop tokens");
}

void TableModel::become_recurrent(std::size_t n_snapshots) {
  limits_.can_branch = limits_.can_drop = false;
  limits_.can_drop_passes = n_snapshots == 0;
  limits_.max_drop = n_snapshots == 0 ? limits_.max_pass_nodes : n_snapshots;
  limits_.max_leaves = limits_.n_sequences;
}

std::size_t TableModel::n_restorable(SeqId seq, std::size_t n) const {
  const Sequence& s = sequence(seq);
  require(n <= s.text.size(), "TableModel::n_restorable: the text is shorter");
  if (limits_.can_drop || n == s.text.size()) return n;
  const auto behind = std::upper_bound(s.remembered.begin(), s.remembered.end(), n);
  return behind == s.remembered.begin() ? 0 : *(behind - 1);
}

void TableModel::remember(SeqId seq) {
  Sequence& s = sequence(seq);
  require(s.pending.empty(), "TableModel::remember: tokens are pending");
  if (limits_.can_drop || s.text.empty()) return;
  if (s.remembered.empty() || s.remembered.back() < s.text.size()) {
    s.remembered.push_back(s.text.size());
  }
}

void TableModel::truncate(SeqId seq, std::size_t n) {
  Sequence& s = sequence(seq);
  require(n <= s.text.size(), "TableModel::truncate: the text is shorter");
  require(limits_.can_drop || n == 0 || s.pending.empty(), "TableModel: cannot drop tokens");
  require(n == n_restorable(seq, n), "TableModel: the state is not remembered");
  s.text.resize(n);
  s.pending.clear();
  s.n_owed = 0;
  std::erase_if(s.remembered, [n](std::size_t length) { return length > n; });
}

}  // namespace gumbelspec::testing
