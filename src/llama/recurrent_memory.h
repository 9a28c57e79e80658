// What recurrent layers keep of the sequences of a context.
#ifndef GUMBELSPEC_SRC_LLAMA_RECURRENT_MEMORY_H_
#define GUMBELSPEC_SRC_LLAMA_RECURRENT_MEMORY_H_

#include <cstddef>
#include <string_view>

#include "src/llama/log_capture.h"

namespace gumbelspec::internal {

// llama.h does not tell the size of states; llama.cpp logs it when it makes a context.
// Lifetime: sink outlives it.
class RecurrentMemoryLog {
 public:
  explicit RecurrentMemoryLog(const LogSink& sink);
  RecurrentMemoryLog(const RecurrentMemoryLog&) = delete;
  RecurrentMemoryLog& operator=(const RecurrentMemoryLog&) = delete;

  // To make a context with.
  [[nodiscard]] const LogSink& sink() const { return tee_; }
  // Of all states that were made, snapshots included; to a hundredth of a MiB.
  [[nodiscard]] std::size_t n_bytes() const { return n_bytes_; }

 private:
  void read(std::string_view line);

  std::size_t n_bytes_ = 0;
  LogSink tee_;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_RECURRENT_MEMORY_H_
