// What the 256-bit products share: loads, groups of columns, hints, the way out.
#ifndef GUMBELSPEC_KERNELS_SRC_VECTOR_256_H_
#define GUMBELSPEC_KERNELS_SRC_VECTOR_256_H_

#include <immintrin.h>

#include <cstring>

#include "kernels/src/kernel_set.h"
#include "kernels/src/unroll.h"

namespace gumbelspec::kernels {
namespace {  // compiled once per instruction set

constexpr int kHalf = 8;  // rows in a register

inline __m256i load256(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline void store256(uint8_t* p, __m256i x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
}
inline int32_t word_at(const uint8_t* p) {
  int32_t word;
  std::memcpy(&word, p, 4);
  return word;
}
inline float float_at(const uint8_t* p) {
  float value;
  std::memcpy(&value, p, 4);
  return value;
}

// Keeps a running sum where it is. Compilers turn a chain of integer additions into a tree, for
// which every product of a block is alive at once: four times as many as there are registers.
inline void pin(__m256i& sum) { asm("" : "+x"(sum)); }

// The columns of a tile in groups of nearly the same size.
struct ColumnGroups {
  int n, count;
  ColumnGroups(int columns, int most) : n(columns), count((columns + most - 1) / most) {}
  int first(int i) const { return i * (n / count) + (i < n % count ? i : n % count); }
  int width(int i) const { return n / count + (i < n % count ? 1 : 0); }
};

// Names the lines that come 2 KiB and 8 KiB later, for the first- and the second-level cache.
template <int kBytes>
inline void prefetch_256(const uint8_t* at) {
  GUMBELSPEC_UNROLL for (int i = 0; i < kBytes; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(at + i + 2048), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(at + i + 8192), _MM_HINT_T2);
  }
}

// sums: [job.n][kPanelRows].
inline void store_panel(const GemmJob& job, int64_t panel, const float* sums) {
  const int64_t row = panel * kPanelRows;
  const int64_t rows = job.n_rows - row < kPanelRows ? job.n_rows - row : kPanelRows;
  for (int c = 0; c < job.n; ++c) {
    std::memcpy(job.column(c) + row, sums + c * kPanelRows,
                static_cast<size_t>(rows) * sizeof(float));
  }
}

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_VECTOR_256_H_
