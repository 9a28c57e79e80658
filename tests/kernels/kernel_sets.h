// The kernels' sets of instructions, for tests.
#ifndef GUMBELSPEC_TESTS_KERNELS_KERNEL_SETS_H_
#define GUMBELSPEC_TESTS_KERNELS_KERNEL_SETS_H_

#include <string>
#include <vector>

#include "gumbelspec/kernels.h"
#include "kernels/src/instruction_sets.h"
#include "kernels/src/isa.h"
#include "kernels/src/kernel_set.h"

namespace gumbelspec::kernels {

// The set of that name, or null. Processors with AVX-512 but without AVX-VNNI run the code of the
// latter in AVX-512's encoding (CMakeLists.txt compiles it so).
inline const KernelSet* kernels_named(const std::string& name) {
  bool known = false;
  if (const KernelSet* set = find_kernels(name, &known)) return set;
#if defined(GUMBELSPEC_EVEX_ENCODING)
  if (name == "avxvnni" && find_kernels("avx512", &known) != nullptr) return &kAvxVnni;
#endif
  return nullptr;
}

// The sets to test: of this build, but AMX, whose bits are AVX-512's (amx_test.cc), only where the
// processor has it.
inline std::vector<std::string> sets_to_test() {
  std::vector<std::string> names = instruction_sets();
  if (!names.empty() && names.front() == "amx" && kernels_named("amx") == nullptr) {
    names.erase(names.begin());
  }
  return names;
}

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_TESTS_KERNELS_KERNEL_SETS_H_
