// The kernels' sets of instructions, for tests.
#ifndef GUMBELSPEC_TESTS_KERNELS_KERNEL_SETS_H_
#define GUMBELSPEC_TESTS_KERNELS_KERNEL_SETS_H_

#include <string>

#include "isa.h"
#include "isa_entry.h"
#include "kernel_set.h"

namespace gumbelspec::kernels {

// The set of that name, or null. Processors with AVX-512 but without AVX-VNNI run the code of the
// latter in AVX-512's encoding (CMakeLists.txt compiles it so).
inline const KernelSet* kernels_named(const std::string& name) {
  bool known = false;
  if (const KernelSet* set = find_kernels(name, &known)) return set;
#if defined(GUMBELSPEC_EVEX_ENCODING)
  static constexpr KernelSet kVnni = {"avxvnni",          avxvnni::quantize, avxvnni::gemm,
                                      avxvnni::attention, avxvnni::rms_norm, avxvnni::swiglu,
                                      avxvnni::to_half,   avxvnni::rotate};
  if (name == "avxvnni" && avx512_kernels()) return &kVnni;
#endif
  return nullptr;
}

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_TESTS_KERNELS_KERNEL_SETS_H_
