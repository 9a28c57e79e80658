#include "src/llama/head_cache.h"

#include <algorithm>
#include <utility>

#include "src/llama/hidden_states.h"

namespace gumbelspec::internal {
namespace {

constexpr auto kOwn = static_cast<std::size_t>(-1);

}  // namespace

HeadCache::HeadCache(HeadKind kind, std::size_t n_state, std::size_t n_own, llama_context* context,
                     const CacheSettings& settings, const LogSink& log,
                     std::function<bool()> is_cancelled)
    : kind_(kind),
      n_state_(n_state),
      n_own_(n_own),
      context_(context),
      log_(log),
      cache_(context, settings, log, std::move(is_cancelled)),
      sequences_(settings.n_sequences),
      zeros_(n_own) {
  const StateSource own{.layers = {}, .is_last = true, .n_layer_state = n_own};
  make_states(context, {}, own, /*is_head=*/true);
  cache_.use_states(own, n_own);
  nodes_.reserve(settings.max_pass_nodes);
  places_.reserve(settings.max_pass_nodes);
  for (Sequence& sequence : sequences_) sequence.own.reserve(settings.max_pass_nodes * n_own);
}

SeqId HeadCache::open() {
  const SeqId seq = cache_.open();
  sequences_[index(seq)].leaves_first_out = false;
  sequences_[index(seq)].own.clear();
  return seq;
}

void HeadCache::close(SeqId seq) { cache_.close(seq); }

std::size_t HeadCache::n_committed(SeqId seq) const {
  return cache_.n_committed(seq) + (sequences_[index(seq)].leaves_first_out ? 1 : 0);
}

PassOutcome HeadCache::fuse(std::size_t n_tokens) {
  if (kind_ != HeadKind::eagle3) return PassOutcome::ok;
  fused_.resize(n_tokens * n_own_);
  const std::size_t n_most = llama_n_ubatch(context_);
  const LogCapture capture(log_);
  for (std::size_t i = 0; i < n_tokens; i += n_most) {
    const std::size_t n = std::min(n_most, n_tokens - i);
    const PassOutcome outcome =
        fuse_states(context_, std::span(states_).subspan(i * n_state_, n * n_state_), n,
                    std::span(fused_).subspan(i * n_own_, n * n_own_));
    if (outcome != PassOutcome::ok) return outcome;
  }
  return PassOutcome::ok;
}

PassOutcome HeadCache::extend(SeqId seq, std::span<const TokenId> tokens) {
  const std::vector<float> zeros(tokens.size() * n_state_);
  return extend_after(seq, tokens, zeros);
}

PassOutcome HeadCache::extend_after(SeqId seq, std::span<const TokenId> tokens,
                                    std::span<const float> states) {
  if (tokens.empty()) return PassOutcome::ok;
  Sequence& sequence = sequences_[index(seq)];
  const bool leaves_first_out = kind_ == HeadKind::eagle3 && n_committed(seq) == 0;
  const std::size_t n_out = leaves_first_out ? 1 : 0;
  states_.assign(states.begin() + static_cast<std::ptrdiff_t>(n_out * n_state_), states.end());
  const std::size_t n = tokens.size() - n_out;
  PassOutcome outcome = fuse(n);
  if (outcome == PassOutcome::ok && n > 0) {
    outcome = cache_.extend_after(seq, tokens.subspan(n_out), fused());
  }
  if (outcome == PassOutcome::ok && leaves_first_out) sequence.leaves_first_out = true;
  return outcome;
}

PassOutcome HeadCache::evaluate(std::span<const PassNode> nodes) {
  nodes_.assign(nodes.begin(), nodes.end());
  places_.clear();
  states_.clear();
  for (const PassNode& node : nodes) {
    // What a node made itself is there of an earlier pass only.
    places_.push_back(node.state == nullptr ? kOwn : states_.size() / n_state_);
    if (node.state != nullptr) states_.insert(states_.end(), node.state, node.state + n_state_);
  }
  const PassOutcome fusing = fuse(states_.size() / n_state_);
  if (fusing != PassOutcome::ok) return fusing;
  const std::span<const float> given = fused();
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    PassNode& node = nodes_[i];
    node.wants_row = true;  // its state comes with its row
    const std::vector<float>& own = sequences_[index(node.seq)].own;
    const std::size_t parent = node.parent == kCommitted ? kOwn : index(node.parent) * n_own_;
    node.state = zeros_.data();
    if (places_[i] != kOwn) node.state = given.data() + places_[i] * n_own_;
    if (places_[i] == kOwn && parent < own.size()) node.state = own.data() + parent;
  }
  const PassOutcome outcome = cache_.evaluate(nodes_);
  if (outcome != PassOutcome::ok) return outcome;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    std::vector<float>& own = sequences_[index(nodes_[i].seq)].own;
    own.resize(own.size() + n_own_);
    cache_.copy_state(i, std::span(own).last(n_own_));
  }
  return outcome;
}

void HeadCache::commit(SeqId seq, std::span<const PendingId> path) {
  sequences_[index(seq)].own.clear();
  cache_.commit(seq, path);
}

void HeadCache::truncate(SeqId seq, std::size_t n) {
  Sequence& sequence = sequences_[index(seq)];
  sequence.own.clear();
  if (n == 0) sequence.leaves_first_out = false;
  cache_.truncate(seq, n - (sequence.leaves_first_out ? 1 : 0));
}

}  // namespace gumbelspec::internal
