// Of POSIX threads, because std::thread takes no size of its stack.
#include "src/llama/deep_stack.h"

#include <pthread.h>

#include <exception>
#include <string>

#include "gumbelspec/error.h"

namespace gumbelspec::internal {
namespace {

// Stacks are made of whole pages, on some machines of 64 KiB.
constexpr std::size_t kGranularity = std::size_t{64} << 10U;

struct Call {
  const std::function<void()>& work;
  std::exception_ptr failure = nullptr;
};

extern "C" void* gumbelspec_run_call(void* argument) {
  auto& call = *static_cast<Call*>(argument);
  try {
    call.work();
  } catch (...) {
    call.failure = std::current_exception();
  }
  return nullptr;
}

}  // namespace

void run_with_stack(std::size_t n_bytes, const std::function<void()>& work) {
  const std::size_t size = (n_bytes + kGranularity - 1) / kGranularity * kGranularity;
  Call call{work};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_t thread{};
  const bool has_thread = pthread_attr_setstacksize(&attributes, size) == 0 &&
                          pthread_create(&thread, &attributes, gumbelspec_run_call, &call) == 0;
  pthread_attr_destroy(&attributes);
  if (!has_thread) {
    throw Error(ErrorCode::out_of_memory, "there is no room for a stack of " +
                                              std::to_string(size >> 20U) +
                                              " MiB; raise the limit of address space (ulimit -v)");
  }
  pthread_join(thread, nullptr);
  if (call.failure != nullptr) std::rethrow_exception(call.failure);
}

}  // namespace gumbelspec::internal
