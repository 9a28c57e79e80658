// How many threads a compute-bound pass should use.
#ifndef GUMBELSPEC_SRC_LLAMA_CPU_TOPOLOGY_H_
#define GUMBELSPEC_SRC_LLAMA_CPU_TOPOLOGY_H_

namespace gumbelspec::internal {

// The physical cores that this process may run on (hyper-threads share one); at least 1. Falls
// back to the number of logical processors where the system does not say.
int n_physical_cores();

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_CPU_TOPOLOGY_H_
