#include "src/llama/chain_cache.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "gumbelspec/error.h"

namespace gumbelspec::internal {
namespace {

constexpr auto kStateOnly = LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY;  // without the attention's cells

}  // namespace

ChainCache::ChainCache(llama_context* context, const CacheSettings& settings, const LogSink& log,
                       std::function<bool()> is_cancelled)
    : context_(context),
      memory_(llama_get_memory(context)),
      settings_(settings),
      log_(log),
      is_cancelled_(std::move(is_cancelled)),
      sequences_(settings.n_sequences),
      batch_(context, settings.graph, settings.check_pass, log) {
  const auto n = static_cast<llama_seq_id>(sequences_.size());
  llama_seq_id next = 0;
  for (Sequence& sequence : sequences_) {
    sequence.id = next++;
    sequence.copy_id = sequence.id + n;
    sequence.pending.reserve(settings.max_pass_nodes);
    sequence.in_pass.reserve(settings.max_pass_nodes);
    sequence.owed.reserve(settings.max_pass_nodes);
  }
  batch_.reserve(2 * settings.max_pass_nodes);
  row_slot_.reserve(settings.max_pass_nodes);
}

std::size_t ChainCache::n_used() const {
  std::size_t n = 0;
  for (const Sequence& sequence : sequences_) {
    if (sequence.is_open) n += sequence.n_in_state() + sequence.n_filling;
  }
  return n;
}

SeqId ChainCache::open() { return sequences_.open(); }

void ChainCache::close(SeqId seq) {
  truncate(seq, 0);
  sequences_.at(seq).is_open = false;
}

std::size_t ChainCache::n_committed(SeqId seq) const { return sequences_.at(seq).n_committed; }

// llama.cpp's recurrent state is copied whole or not at all, whatever the positions; of the
// attention's cells none has these.
void ChainCache::copy_state(llama_seq_id from, llama_seq_id to) const {
  llama_memory_seq_cp(memory_, from, to, 0, 0);
}

void ChainCache::drop_copy(Sequence& sequence) {
  if (sequence.has_copy) llama_memory_seq_rm(memory_, sequence.copy_id, -1, -1);
  sequence.has_copy = false;
}

void ChainCache::commit(SeqId seq, std::span<const PendingId> path) {
  Sequence& sequence = sequences_.at(seq);
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == pending_id(i) && i < sequence.pending.size()) continue;
    throw std::logic_error("commit: pending token " + std::to_string(static_cast<int>(path[i])) +
                           " does not follow the one before it");
  }
  const std::size_t n_kept = path.size();
  const bool keeps_all = n_kept == sequence.pending.size() && sequence.n_filling == 0;
  if (!keeps_all && settings_.rollback == Rollback::snapshots) {
    take_snapshot(sequence, n_kept);
  } else if (!keeps_all && settings_.rollback == Rollback::copies) {
    take_copy_back(sequence, n_kept);
  } else if (!keeps_all) {
    throw std::logic_error("commit: this model cannot drop evaluated tokens");
  } else if (n_kept > 0) {
    sequence.owed.clear();
    drop_copy(sequence);
  }
  sequence.n_committed += n_kept;
  sequence.pending.clear();
  sequence.n_last = sequence.n_filling = 0;
}

void ChainCache::take_snapshot(Sequence& sequence, std::size_t n_kept) const {
  const std::size_t n_dropped = sequence.pending.size() - n_kept;
  // The states before the last pass are gone.
  if (n_dropped >= sequence.n_last || n_dropped + sequence.n_filling > settings_.n_snapshots) {
    throw std::logic_error("commit: this model can drop the last " +
                           std::to_string(settings_.n_snapshots) +
                           " tokens of a pass, but for its first one");
  }
  const auto end = static_cast<llama_pos>(sequence.n_committed + n_kept);
  if (!llama_memory_seq_rm(memory_, sequence.id, end, -1)) {
    throw Error(ErrorCode::evaluation_failed,
                "llama.cpp could not take back " + std::to_string(n_dropped) + " tokens");
  }
}

void ChainCache::take_copy_back(Sequence& sequence, std::size_t n_kept) {
  const std::size_t n_after = sequence.n_committed + n_kept;
  if (!sequence.has_copy || n_kept == 0 || sequence.n_copied > n_after) {
    throw std::logic_error("commit: this model cannot drop the first pending token");
  }
  copy_state(sequence.copy_id, sequence.id);
  llama_memory_seq_rm(memory_, sequence.id, static_cast<llama_pos>(sequence.n_copied), -1);
  // What the copy has read already, of those that were owed and of the pending ones.
  const std::size_t n_first = sequence.n_committed - sequence.owed.size();
  sequence.owed.insert(sequence.owed.end(), sequence.pending.begin(),
                       sequence.pending.begin() + static_cast<std::ptrdiff_t>(n_kept));
  sequence.owed.erase(
      sequence.owed.begin(),
      sequence.owed.begin() + static_cast<std::ptrdiff_t>(sequence.n_copied - n_first));
}

void ChainCache::truncate(SeqId seq, std::size_t n) {
  Sequence& sequence = sequences_.at(seq);
  if (n > sequence.n_committed) {
    throw std::logic_error("truncate: " + std::to_string(n) + " is more than the " +
                           std::to_string(sequence.n_committed) + " committed tokens");
  }
  if (n > 0) {
    if (!sequence.pending.empty()) {
      throw std::logic_error("truncate: this model cannot drop the first pending token");
    }
    if (n == sequence.n_committed) return;
    const auto found = std::find_if(sequence.remembered.begin(), sequence.remembered.end(),
                                    [n](const Remembered& r) { return r.n == n; });
    if (found == sequence.remembered.end()) {
      throw std::logic_error("truncate: the state behind " + std::to_string(n) +
                             " tokens is not remembered");
    }
    restore(sequence, *found);
    sequence.remembered.erase(found + 1, sequence.remembered.end());
  } else {
    if (sequences_.is_alone(sequence)) {
      llama_memory_clear(memory_, false);
      sequence.has_copy = false;
    } else {
      llama_memory_seq_rm(memory_, sequence.id, -1, -1);
      drop_copy(sequence);
    }
    sequence.remembered.clear();
  }
  sequence.n_committed = n;
  sequence.owed.clear();
  sequence.pending.clear();
  sequence.n_last = sequence.n_filling = 0;
}

std::size_t ChainCache::n_restorable(SeqId seq, std::size_t n) const {
  const Sequence& sequence = sequences_.at(seq);
  if (n == sequence.n_committed) return n;
  std::size_t best = 0;
  for (const Remembered& r : sequence.remembered) {
    if (r.n <= n) best = r.n;
  }
  return best;
}

void ChainCache::remember(SeqId seq) {
  Sequence& sequence = sequences_.at(seq);
  if (!sequence.pending.empty()) throw std::logic_error("remember: there are pending tokens");
  const bool has_state = settings_.rollback != Rollback::none;
  // Nothing is owed behind a prompt.
  if (!has_state || sequence.n_committed == 0 || !sequence.owed.empty()) return;
  std::vector<Remembered>& all = sequence.remembered;
  if (!all.empty() && all.back().n == sequence.n_committed) return;
  const LogCapture capture(log_);
  Remembered now{.n = sequence.n_committed, .state = {}};
  try {
    now.state.resize(llama_state_seq_get_size_ext(context_, sequence.id, kStateOnly));
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory,
                "not enough memory to keep a recurrent state; use a "
                "smaller model or fewer sequences");
  }
  const std::size_t n = llama_state_seq_get_data_ext(context_, now.state.data(), now.state.size(),
                                                     sequence.id, kStateOnly);
  if (n != now.state.size()) return;  // it is not needed for anything but speed
  if (all.size() == kMostRemembered) all.erase(all.begin());
  all.push_back(std::move(now));
}

void ChainCache::restore(Sequence& sequence, const Remembered& remembered) {
  drop_copy(sequence);
  const LogCapture capture(log_);
  const std::size_t n = llama_state_seq_set_data_ext(
      context_, remembered.state.data(), remembered.state.size(), sequence.id, kStateOnly);
  if (n != remembered.state.size() ||
      !llama_memory_seq_rm(memory_, sequence.id, static_cast<llama_pos>(remembered.n), -1)) {
    throw Error(ErrorCode::evaluation_failed,
                "a recurrent state could not be restored: " + capture.last_error());
  }
}

}  // namespace gumbelspec::internal
