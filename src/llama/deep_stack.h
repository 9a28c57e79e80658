// Room for recursion that is as deep as its input is long.
#ifndef GUMBELSPEC_SRC_LLAMA_DEEP_STACK_H_
#define GUMBELSPEC_SRC_LLAMA_DEEP_STACK_H_

#include <cstddef>
#include <functional>

namespace gumbelspec::internal {

// Runs work on a thread of its own with a stack of at least n_bytes, and waits for its end. Memory
// is taken only as far as the stack is used.
// Throws: what work throws; Error{out_of_memory} if there is no room for such a stack.
void run_with_stack(std::size_t n_bytes, const std::function<void()>& work);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_DEEP_STACK_H_
