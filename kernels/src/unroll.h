// Loops over registers must be unrolled, or the registers become memory.
#ifndef GUMBELSPEC_KERNELS_SRC_UNROLL_H_
#define GUMBELSPEC_KERNELS_SRC_UNROLL_H_

#define GUMBELSPEC_UNROLL _Pragma("GCC unroll 32")

#endif  // GUMBELSPEC_KERNELS_SRC_UNROLL_H_
