// What stands behind a gumbelspec_pair; sessions and batches share it.
#ifndef GUMBELSPEC_BINDINGS_C_LOADED_PAIR_H_
#define GUMBELSPEC_BINDINGS_C_LOADED_PAIR_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "apps/server/api/api_model.h"
#include "bindings/c/include/gumbelspec_c.h"
#include "gumbelspec/pair.h"

namespace gumbelspec::c {

using Flag = std::atomic<bool>;

struct LoadedPair {
  Pair pair;
  server::ApiModel api;
  std::string info = {};  // JSON
  // Stops the pass that is running; null: nothing does. Set by whoever calls the model.
  std::shared_ptr<std::atomic<const Flag*>> stop = {};
  std::size_t n_taken = 0;  // of its sequences
};

// Sequences of a pair that somebody has for himself.
class SequenceLease {
 public:
  // Throws: Error{invalid_option} if they are not free.
  SequenceLease(LoadedPair& pair, std::size_t n);
  ~SequenceLease() { pair_.n_taken -= n_; }
  SequenceLease(const SequenceLease&) = delete;
  SequenceLease& operator=(const SequenceLease&) = delete;

 private:
  LoadedPair& pair_;
  std::size_t n_;
};

// While it lives, passes of the pair stop when the flag is set.
class StoppablePasses {
 public:
  StoppablePasses(const LoadedPair& pair, const Flag& flag) : stop_(*pair.stop) {
    stop_.store(&flag);
  }
  ~StoppablePasses() { stop_.store(nullptr); }
  StoppablePasses(const StoppablePasses&) = delete;
  StoppablePasses& operator=(const StoppablePasses&) = delete;

 private:
  std::atomic<const Flag*>& stop_;
};

// What the loading options are called, and what they are.
struct OptionDoc {
  std::string_view name;
  std::string_view type;  // "integer"
  std::string_view description;
};
[[nodiscard]] std::span<const OptionDoc> load_option_docs();

// progress may be null. Throws: as Pair::load(); Error{invalid_option} of options; Misuse.
[[nodiscard]] std::shared_ptr<LoadedPair> load_pair(const char* target, const char* draft,
                                                    const char* options,
                                                    gumbelspec_progress progress, void* user);

}  // namespace gumbelspec::c

struct gumbelspec_pair {
  std::shared_ptr<gumbelspec::c::LoadedPair> loaded;
};

#endif  // GUMBELSPEC_BINDINGS_C_LOADED_PAIR_H_
