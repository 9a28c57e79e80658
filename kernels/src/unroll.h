// Loops over registers must be unrolled, and what is called between them inlined, or the registers
// become memory.
#ifndef GUMBELSPEC_KERNELS_SRC_UNROLL_H_
#define GUMBELSPEC_KERNELS_SRC_UNROLL_H_

#define GUMBELSPEC_UNROLL _Pragma("GCC unroll 32")
#define GUMBELSPEC_INLINE inline __attribute__((always_inline))

#endif  // GUMBELSPEC_KERNELS_SRC_UNROLL_H_
