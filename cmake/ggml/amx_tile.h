// Compiled in front of every C++ file of ggml (mends.cmake). GCC's intrinsics for AMX's tiles are
// inline assembly that says too little about the memory it touches:
// - _tile_loadconfig names 8 of the 64 bytes that LDTILECFG reads. The stores of the other 56 are
//   then without a reader, and the compiler drops them: the processor gets whatever lay on the
//   stack, and the next tile instruction is an illegal one, or works on tiles of another shape.
// - _tile_storeconfig names 8 of the 64 bytes that STTILECFG writes.
// - _tile_loadd and _tile_stream_loadd name none of what they read, so that stores into a buffer
//   may be moved behind the instruction that loads it.
// Clang's are builtins, which know. On other processors and without AMX this file is empty.
#if defined(__AMX_TILE__) && defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)

#include <immintrin.h>

namespace gumbelspec_mend {

// May alias: ggml fills a struct of its own.
struct __attribute__((__may_alias__)) TileConfig {
  unsigned char bytes[64];
};

inline __attribute__((__always_inline__)) void tile_loadconfig(const void* config) {
  __asm__ volatile("ldtilecfg\t%X0" ::"m"(*static_cast<const TileConfig*>(config)));
}

inline __attribute__((__always_inline__)) void tile_storeconfig(void* config) {
  __asm__ volatile("sttilecfg\t%X0" : "=m"(*static_cast<TileConfig*>(config)));
}

}  // namespace gumbelspec_mend

#undef _tile_loadconfig
#define _tile_loadconfig ::gumbelspec_mend::tile_loadconfig
#undef _tile_storeconfig
#define _tile_storeconfig ::gumbelspec_mend::tile_storeconfig

// How far such a load reaches is known at run time only, so all of memory counts as read.
#undef _tile_loadd_internal
#define _tile_loadd_internal(dst, base, stride)                                 \
  __asm__ volatile("{tileloadd\t(%0,%1,1), %%tmm" #dst "|tileloadd\t%%tmm" #dst \
                   ", [%0+%1*1]}" ::"r"((const void*)(base)),                   \
                   "r"((long)(stride))                                          \
                   : "memory")
#undef _tile_stream_loadd_internal
#define _tile_stream_loadd_internal(dst, base, stride)                              \
  __asm__ volatile("{tileloaddt1\t(%0,%1,1), %%tmm" #dst "|tileloaddt1\t%%tmm" #dst \
                   ", [%0+%1*1]}" ::"r"((const void*)(base)),                       \
                   "r"((long)(stride))                                              \
                   : "memory")

#endif
