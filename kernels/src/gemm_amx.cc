// Matrix products for AMX. What the tiles are for, and how: tile_products.h.
#include "kernels/src/gemm_amx.h"

#include "kernels/src/gemm_avx512.h"
#include "kernels/src/tile_products.h"

namespace gumbelspec::kernels {
namespace {

// In assembly: of the intrinsics of GCC 12 the compiler does not know which memory they read.
struct Amx {
  static void configure(const TileConfig& config) { asm volatile("ldtilecfg %0" ::"m"(config)); }
  static void release() { asm volatile("tilerelease"); }

  template <int kTile>
  static GUMBELSPEC_INLINE void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
  }
  template <int kTile>
  static GUMBELSPEC_INLINE void load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kTile) : "memory");
  }
  template <int kTile>
  static GUMBELSPEC_INLINE void store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(kTile) : "memory");
  }
  // Signed bytes times signed bytes: sum += activations * weights.
  template <int kSum, int kLeft, int kRight>
  static GUMBELSPEC_INLINE void multiply() {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kLeft), "i"(kRight));
  }
};

}  // namespace

void gemm_amx(const GemmJob& job, int64_t begin, int64_t end) {
  const Product on_tiles = tile_product<Amx>(job);
  (on_tiles != nullptr ? on_tiles : gemm_avx512)(job, begin, end);
}

}  // namespace gumbelspec::kernels
