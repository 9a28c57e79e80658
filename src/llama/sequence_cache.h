// Sequences of tokens in llama.cpp's memory, as LanguageModel promises them.
#ifndef GUMBELSPEC_SRC_LLAMA_SEQUENCE_CACHE_H_
#define GUMBELSPEC_SRC_LLAMA_SEQUENCE_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <vector>

#include "gumbelspec/language_model.h"
#include "src/llama/graph_traits.h"

namespace gumbelspec::internal {

// How a model takes back tokens that it has evaluated.
enum class Rollback {
  cells,      // any cells of its cache can be freed: trees
  snapshots,  // llama.cpp keeps the states behind the last tokens of a pass
  copies,     // the state before the pass is kept under a second id
  none,
};

struct CacheSettings {
  Rollback rollback = Rollback::cells;
  std::size_t n_snapshots = 0;  // of every sequence; Rollback::snapshots
  std::size_t n_sequences = 1;
  std::size_t n_context = 0;  // tokens of one sequence
  std::size_t n_cells = 0;    // of llama.cpp's cache; at least n_sequences * n_context
  std::size_t max_pass_nodes = 0;
  // Of several texts, cells that may lie parked before the cache is rewritten although it has room:
  // attention looks at every cell up to the last one in use.
  std::size_t n_parked = 0;
  bool keeps_order = true;  // the cells of a text stay in the order of its positions; with trees
  int n_threads = 1;
  int n_threads_prompt = 1;  // while a prompt is read
  bool has_window = false;   // some layers see a sliding window only
  GraphTraits graph = {};
  // Asked after every pass; throws if the machines that computed it did not all do so. Empty: they
  // cannot fail.
  std::function<void()> check_pass = {};

  [[nodiscard]] bool can_branch() const { return rollback == Rollback::cells; }
};

// While it lives, passes take the threads that are meant for prompts.
class PromptThreads {
 public:
  PromptThreads(llama_context* context, const CacheSettings& settings)
      : context_(settings.n_threads == settings.n_threads_prompt ? nullptr : context),
        n_threads_(settings.n_threads) {
    set(settings.n_threads_prompt);
  }
  ~PromptThreads() { set(n_threads_); }
  PromptThreads(const PromptThreads&) = delete;
  PromptThreads& operator=(const PromptThreads&) = delete;

 private:
  void set(int n) const {
    if (context_ != nullptr) llama_set_n_threads(context_, n, n);
  }
  llama_context* context_;  // null: they are the same
  int n_threads_;
};

// The functions are those of LanguageModel.
class SequenceCache {
 public:
  virtual ~SequenceCache() = default;
  virtual SeqId open() = 0;
  virtual void close(SeqId seq) = 0;
  [[nodiscard]] virtual std::size_t n_committed(SeqId seq) const = 0;
  [[nodiscard]] virtual PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) = 0;
  // Of a head.
  [[nodiscard]] virtual PassOutcome extend_after(SeqId seq, std::span<const TokenId> tokens,
                                                 std::span<const float> /*states*/) {
    return extend(seq, tokens);
  }
  virtual void copy_state(std::size_t /*i*/, std::span<float> /*out*/) const {
    throw std::logic_error("this model gives no hidden states");
  }
  [[nodiscard]] virtual PassOutcome evaluate(std::span<const PassNode> nodes) = 0;
  [[nodiscard]] virtual const float* row(std::size_t i) const = 0;
  virtual void commit(SeqId seq, std::span<const PendingId> path) = 0;
  virtual void truncate(SeqId seq, std::size_t n) = 0;
  [[nodiscard]] virtual std::size_t n_restorable(SeqId seq, std::size_t n) const = 0;
  virtual void remember(SeqId seq) = 0;
  [[nodiscard]] virtual std::size_t n_extra() const = 0;
  [[nodiscard]] virtual std::vector<std::uint8_t> state(SeqId /*seq*/) { return {}; }
  [[nodiscard]] virtual bool set_state(SeqId /*seq*/, std::span<const std::uint8_t> /*state*/,
                                       std::size_t /*n_tokens*/) {
    return false;
  }
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_SEQUENCE_CACHE_H_
