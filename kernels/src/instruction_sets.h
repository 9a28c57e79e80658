// The instruction sets, each of which is a file that fills in a KernelSet.
//
// Such a file is compiled with flags of its own. So it must not run, or give away to the linker,
// anything that runs elsewhere: its table is constant, all else in it has internal linkage, and
// whether the processor can run it is asked in isa.cc.
#ifndef GUMBELSPEC_KERNELS_SRC_INSTRUCTION_SETS_H_
#define GUMBELSPEC_KERNELS_SRC_INSTRUCTION_SETS_H_

#include "kernels/src/kernel_set.h"

namespace gumbelspec::kernels {

// The best first: the first that the processor can run is taken.
#if defined(__x86_64__)
#define GUMBELSPEC_INSTRUCTION_SETS(SET) \
  SET(kAmx)                              \
  SET(kAvx512Bf16)                       \
  SET(kAvx512)                           \
  SET(kAvxVnni)                          \
  SET(kAvx2)
#else
#define GUMBELSPEC_INSTRUCTION_SETS(SET)
#endif

#define GUMBELSPEC_DECLARE_SET(name) extern const KernelSet name;
GUMBELSPEC_INSTRUCTION_SETS(GUMBELSPEC_DECLARE_SET)
#undef GUMBELSPEC_DECLARE_SET

// What a set may need; isa.cc asks for it.
namespace feature {
inline constexpr uint32_t kAvx2 = 1;  // with FMA, F16C and BMI
inline constexpr uint32_t kAvxVnni = 2;
inline constexpr uint32_t kAvx512Vnni = 4;  // with AVX-512 F, BW, VL and DQ
inline constexpr uint32_t kAvx512Bf16 = 8;
inline constexpr uint32_t kAmxInt8 = 16;  // with the system's permission
}  // namespace feature

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_INSTRUCTION_SETS_H_
