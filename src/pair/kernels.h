// The CPU kernels for small batches, if this build has them.
#ifndef GUMBELSPEC_PAIR_KERNELS_H_
#define GUMBELSPEC_PAIR_KERNELS_H_

#include <string>
#include <vector>

namespace gumbelspec {

// Makes models that are loaded from now on use them, where the processor allows it.
// Throws: Error{invalid_option} if GUMBELSPEC_KERNELS_ISA names no instruction set.
void register_kernels();

// LlamaModelOptions::order_free_types of what is registered.
[[nodiscard]] std::vector<std::string> order_free_types();

// What is registered, one line; e.g. "avx512 for F16, Q8_0; attention".
[[nodiscard]] std::string kernels_description();

}  // namespace gumbelspec

#endif  // GUMBELSPEC_PAIR_KERNELS_H_
