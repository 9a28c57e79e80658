// ggml ends the process where a check of its own fails, also over a damaged model file. While a
// guard lives, such a check throws instead, in the thread that made the guard.
#ifndef GUMBELSPEC_SRC_LLAMA_ABORT_GUARD_H_
#define GUMBELSPEC_SRC_LLAMA_ABORT_GUARD_H_

#include <stdexcept>

namespace gumbelspec::internal {

// what(): the failed check and its place, on one line.
class AbortError final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// For calls that build something up and whose half-made results nobody uses: what ggml's C code
// held when it gave up is not freed. Guards nest. Threads: one guard belongs to one thread.
class AbortGuard {
 public:
  AbortGuard();
  ~AbortGuard();
  AbortGuard(const AbortGuard&) = delete;
  AbortGuard& operator=(const AbortGuard&) = delete;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_ABORT_GUARD_H_
