// Loading with and without ggml's accelerators, which llama.cpp has no option for: it takes all
// that are in ggml's list of devices while a model is loaded and while its context is made, and
// does not look at the list afterwards.
#ifndef GUMBELSPEC_SRC_LLAMA_ACCELERATORS_H_
#define GUMBELSPEC_SRC_LLAMA_ACCELERATORS_H_

#include <mutex>
#include <shared_mutex>
#include <vector>

#include "ggml-backend.h"

namespace gumbelspec::internal {

// Held while llama.cpp reads ggml's list of devices. Without accelerators they are out of the list
// for as long, and nobody else reads it; then they are back, in the order they had. What uses them
// already goes on: the list is all that changes, and a plug-in stays in memory.
// Threads: any; but no two at once in one thread.
class DeviceList {
 public:
  // Throws: Error{invalid_option} if a registry has accelerators among devices of other kinds,
  // which could not be brought back in the same order.
  explicit DeviceList(bool with_accelerators);
  ~DeviceList();
  DeviceList(const DeviceList&) = delete;
  DeviceList& operator=(const DeviceList&) = delete;

 private:
  std::shared_lock<std::shared_mutex> reading_;
  std::unique_lock<std::shared_mutex> alone_;
  std::vector<ggml_backend_reg_t> hidden_;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_ACCELERATORS_H_
