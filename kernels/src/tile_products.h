// Products of quantised weights on tiles of bytes (Intel AMX), the same bits as with AVX-512 VNNI:
// integer sums are exact, whoever adds them up, and the float steps are those of gemm_avx512.cc.
//
// A panel is already what a tile of weights is: a row of the tile is one group of four columns of
// the panel's sixteen rows. A tile of activations has a row for each column of the pass, 32 codes
// of a block. Their product is the block's sums, a row of sixteen for each column of the pass,
// which go through memory into registers, are scaled there and added to the column's float sums.
//
// Codes are unpacked once for all columns of a pass, to signed bytes (which spares the correction
// that unsigned ones need), a piece of some blocks at a time: what is unpacked and what it meets of
// sixteen columns stay in the first-level cache.
//
// Unit has the instructions, or a model of them (tests/kernels/amx_model.h).
#ifndef GUMBELSPEC_KERNELS_SRC_TILE_PRODUCTS_H_
#define GUMBELSPEC_KERNELS_SRC_TILE_PRODUCTS_H_

#include <immintrin.h>

#include <cstdint>
#include <utility>

#include "kernels/src/formats.h"
#include "kernels/src/kernel_set.h"
#include "kernels/src/panel_512.h"
#include "kernels/src/unroll.h"

namespace gumbelspec::kernels {
namespace {  // compiled once per unit

// Fewer columns are done sooner with VNNI: unpacking a block costs as much as its products with
// two.
constexpr int kLeastTileColumns = 12;
// So that no tile is narrower than this: 17 columns are 9 and 8.
constexpr int kLeastWidth = 8;
constexpr int64_t kPieceBlocks = 32;
// Activations that stay in the second-level cache from panel to panel. With more, a piece of them
// meets all panels before the next one comes.
constexpr size_t kCachedActivations = 768 << 10;

// What LDTILECFG reads.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  constexpr void shape(int tile, int n_rows, int n_bytes) {
    rows[tile] = static_cast<uint8_t>(n_rows);
    row_bytes[tile] = static_cast<uint16_t>(n_bytes);
  }
};
static_assert(sizeof(TileConfig) == 64);

// Tiles of a block, or of each half of it where the halves have scales of their own.
constexpr int kSums = 0, kActivations = 2, kWeights = 4;

constexpr TileConfig tile_config(int columns, bool halves) {
  TileConfig config;
  for (int half = 0; half < (halves ? 2 : 1); ++half) {
    config.shape(kSums + half, columns, 64);
    config.shape(kActivations + half, columns, halves ? 16 : 32);
    config.shape(kWeights + half, halves ? 4 : 8, 64);
  }
  return config;
}

// Some blocks of a panel, unpacked.
struct Piece {
  alignas(64) uint8_t codes[kPieceBlocks][kGroups * 64];  // signed
  alignas(64) float d[kPieceBlocks][kPanelRows];
  alignas(64) float m[kPieceBlocks][kPanelRows];
  alignas(64) float min_low[kPieceBlocks][kPanelRows];
  alignas(64) float min_high[kPieceBlocks][kPanelRows];
  int64_t first, count;  // blocks
};

template <class Format>
void unpack(const uint8_t* panel, const PanelLayout& layout, int64_t first, Piece* piece) {
  static_assert(Format::kValueBits < 8 || Format::kOffset == 128, "a signed byte must hold it");
  const __m512i offset = _mm512_set1_epi8(static_cast<int8_t>(Format::kOffset));
  piece->first = first;
  piece->count = layout.blocks - first < kPieceBlocks ? layout.blocks - first : kPieceBlocks;
  for (int64_t i = 0; i < piece->count; ++i) {
    __m512i w[kGroups];
    load_codes<Format>(panel, layout, first + i, w);
    GUMBELSPEC_UNROLL for (int g = 0; g < kGroups; ++g) {
      _mm512_store_si512(piece->codes[i] + 64 * g, _mm512_sub_epi8(w[g], offset));
    }
    const BlockScales s = load_scales<Format>(panel, layout, first + i);
    _mm512_store_ps(piece->d[i], s.d);
    if constexpr (Format::kMins || Format::kHalves) _mm512_store_ps(piece->m[i], s.m);
    if constexpr (Format::kMins && Format::kHalves) {
      _mm512_store_ps(piece->min_low[i], s.min_low);
      _mm512_store_ps(piece->min_high[i], s.min_high);
    }
  }
}

// What a panel's codes further on are asked for with, while this piece is computed.
struct Hint {
  const uint8_t* at;  // null: no hints
  int lines;          // per block
};

// The integer sums of a block, or of its halves.
template <bool kHalves>
using BlockSums = int32_t[kHalves ? 2 : 1][kMaxTile][kPanelRows];

template <class Unit, bool kHalves>
GUMBELSPEC_INLINE void multiply_block(const uint8_t* columns, const uint8_t* codes,
                                      BlockSums<kHalves>& sums) {
  Unit::template zero<kSums>();
  Unit::template load<kActivations>(columns, kBlock);
  Unit::template load<kWeights>(codes, 64);
  Unit::template multiply<kSums, kActivations, kWeights>();
  Unit::template store<kSums>(sums[0], 64);
  if constexpr (kHalves) {
    Unit::template zero<kSums + 1>();
    Unit::template load<kActivations + 1>(columns + kBlock / 2, kBlock);
    Unit::template load<kWeights + 1>(codes + kGroups / 2 * 64, 64);
    Unit::template multiply<kSums + 1, kActivations + 1, kWeights + 1>();
    Unit::template store<kSums + 1>(sums[1], 64);
  }
}

// The float steps of a block, in the order of gemm_avx512.cc.
template <bool kHalves, bool kMins, int kN>
GUMBELSPEC_INLINE void add_block(const BlockSums<kHalves>& sums, const Piece& piece, int64_t i,
                                 const uint8_t* rec, const uint8_t* more, __m512 (&total)[kN]) {
  const auto sum_of = [&](int half, int c) {
    return _mm512_cvtepi32_ps(_mm512_load_si512(sums[half][c]));
  };
  const auto scale_of = [&](int c) {
    return broadcast_float(rec + RecordLayout::kScale * kN + 4 * c);
  };
  const __m512 d = _mm512_load_ps(piece.d[i]);
  GUMBELSPEC_UNROLL for (int c = 0; c < kN; ++c) {
    if constexpr (kHalves) {
      __m512 t = _mm512_mul_ps(sum_of(0, c), d);
      t = _mm512_fmadd_ps(sum_of(1, c), _mm512_load_ps(piece.m[i]), t);
      if constexpr (kMins) {
        const __m512i low = broadcast(more + extra::kMinus32Low * kN + 4 * c);
        const __m512i high = broadcast(more + extra::kMinus32High * kN + 4 * c);
        t = _mm512_fmadd_ps(_mm512_cvtepi32_ps(low), _mm512_load_ps(piece.min_low[i]), t);
        t = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), _mm512_load_ps(piece.min_high[i]), t);
      }
      total[c] = _mm512_fmadd_ps(t, scale_of(c), total[c]);
    } else {
      total[c] = _mm512_fmadd_ps(sum_of(0, c), _mm512_mul_ps(d, scale_of(c)), total[c]);
      if constexpr (kMins) {
        const __m512 sum = broadcast_float(more + extra::kSum * kN + 4 * c);
        total[c] = _mm512_fnmadd_ps(_mm512_load_ps(piece.m[i]), sum, total[c]);
      }
    }
  }
}

// A piece of a panel times a tile of kN columns. The product of a block is on its way while the one
// before it is scaled.
template <class Unit, bool kHalves, bool kMins, int kN>
void piece_times_tile(const GemmJob& job, int64_t panel, const Piece& piece, const Hint& hint) {
  const __mmask16 lanes = rows_of(job, panel);
  const uint8_t* rec = job.tile + static_cast<size_t>(piece.first) * RecordLayout::kBytes * kN;
  const uint8_t* more = job.tile +
                        static_cast<size_t>(job.layout.blocks) * RecordLayout::kBytes * kN +
                        static_cast<size_t>(piece.first) * extra::kBytes * kN;
  __m512 total[kN];
  GUMBELSPEC_UNROLL for (int c = 0; c < kN; ++c) {
    total[c] = piece.first == 0 ? _mm512_setzero_ps()
                                : _mm512_maskz_loadu_ps(lanes, job.column(c) + panel * kPanelRows);
  }
  alignas(64) BlockSums<kHalves> sums[2];
  for (int64_t i = 0; i <= piece.count; ++i) {
    if (i < piece.count) {
      if (hint.at != nullptr) {
        for (int line = 0; line < hint.lines; ++line) {
          _mm_prefetch(reinterpret_cast<const char*>(hint.at + (i * hint.lines + line) * 64),
                       _MM_HINT_T2);
        }
      }
      multiply_block<Unit, kHalves>(rec + static_cast<size_t>(i) * RecordLayout::kBytes * kN,
                                    piece.codes[i], sums[i % 2]);
    }
    if (i > 0) {
      add_block<kHalves, kMins, kN>(sums[(i - 1) % 2], piece, i - 1,
                                    rec + static_cast<size_t>(i - 1) * RecordLayout::kBytes * kN,
                                    more + static_cast<size_t>(i - 1) * extra::kBytes * kN, total);
    }
  }
  GUMBELSPEC_UNROLL for (int c = 0; c < kN; ++c) {
    _mm512_mask_storeu_ps(job.column(c) + panel * kPanelRows, lanes, total[c]);
  }
}

using PieceTimesTile = void (*)(const GemmJob&, int64_t, const Piece&, const Hint&);

// By the width of a tile, less the least one.
template <class Unit, bool kHalves, bool kMins, class Widths>
struct ByWidth;
template <class Unit, bool kHalves, bool kMins, int... kWidths>
struct ByWidth<Unit, kHalves, kMins, std::integer_sequence<int, kWidths...>> {
  static constexpr PieceTimesTile kOf[] = {
      piece_times_tile<Unit, kHalves, kMins, kWidths + kLeastWidth>...};
};

template <class Unit, class Format>
void panels_times_tiles(const GemmJob& job, int64_t begin, int64_t end) {
  using Widths = std::make_integer_sequence<int, kMaxTile - kLeastWidth + 1>;
  constexpr auto kOf = ByWidth<Unit, Format::kHalves, Format::kMins, Widths>::kOf;
  constexpr int kFarHint = 32768;
  const TileWidths widths{job.n, job.n_tiles};
  const bool stays = static_cast<size_t>(job.n) * job.column_bytes <= kCachedActivations;
  Piece piece;
  const auto step = [&](int64_t p, int64_t first) {
    const uint8_t* panel = job.weights + static_cast<size_t>(p) * job.layout.bytes;
    unpack<Format>(panel, job.layout, first, &piece);
    for (int t = 0; t < job.n_tiles; ++t) {
      Hint hint{nullptr, static_cast<int>(kCodePitch<Format> / 64)};
      if (t == 0 && stays && job.prefetch) {
        hint.at = panel + first * kCodePitch<Format> + kFarHint;
      }
      kOf[widths.width(t) - kLeastWidth](job.of_tile(t), p, piece, hint);
    }
  };
  // Of a narrower tile the last row is what lies behind its codes, and is not used.
  Unit::configure(tile_config(widths.width(0), Format::kHalves));
  if (stays) {
    for (int64_t p = begin; p < end; ++p) {
      for (int64_t first = 0; first < job.layout.blocks; first += kPieceBlocks) step(p, first);
    }
  } else {
    for (int64_t first = 0; first < job.layout.blocks; first += kPieceBlocks) {
      for (int64_t p = begin; p < end; ++p) step(p, first);
    }
  }
  // At once: tiles in use keep a core from sleeping, and the thread's next tiles may be ggml's,
  // which looks whether the configuration is its own.
  Unit::release();
}

using Product = void (*)(const GemmJob& job, int64_t begin, int64_t end);

template <class Unit>
struct TileProducts {
  template <class Format>
  struct Of {
    static constexpr Product product() {
      if constexpr (Format::kActivations == ActivationFormat::int8) {
        return panels_times_tiles<Unit, PanelOf<Format>>;
      } else {
        return nullptr;
      }
    }
    static constexpr Product kEntry = product();
  };
};

// Returns: null where tiles do not pay or do not fit.
template <class Unit>
Product tile_product(const GemmJob& job) {
  if (job.n < kLeastTileColumns || job.n < kLeastWidth * job.n_tiles) return nullptr;
  return ByFormat<Product, TileProducts<Unit>::template Of>::kEntries[job.type];
}

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_TILE_PRODUCTS_H_
