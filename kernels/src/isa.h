// Which instruction sets there are, and which one to use.
#ifndef GUMBELSPEC_KERNELS_SRC_ISA_H_
#define GUMBELSPEC_KERNELS_SRC_ISA_H_

#include <string>
#include <vector>

#include "kernels/src/kernel_set.h"

namespace gumbelspec::kernels {

// Names of the processor's features that matter here, operating-system support included.
std::vector<std::string> processor_features();

// The best set of that name, or of all for "auto" and "".
// Returns: null when the processor or the build lacks it. *known says whether the name is one.
const KernelSet* find_kernels(const std::string& name, bool* known);

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_ISA_H_
