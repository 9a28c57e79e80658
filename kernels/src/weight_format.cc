#include "weight_format.h"

#include <algorithm>
#include <cstring>

#include "ggml_blocks.h"

namespace gumbelspec::kernels {
namespace {

constexpr int kGroups = 8;  // of four columns, in a block

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// The six-bit scale and min of sub-block j in the 12 packed bytes of Q4_K and Q5_K: the first four
// pairs lie in the low six bits of bytes 0-3 and 4-7, the others in the nibbles of bytes 8-11 with
// their upper two bits on top of the first eight bytes.
void get_scale_min(const uint8_t* packed, int j, uint8_t* scale, uint8_t* min) {
  if (j < 4) {
    *scale = packed[j] & 63;
    *min = packed[j + 4] & 63;
    return;
  }
  *scale = static_cast<uint8_t>((packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4));
  *min = static_cast<uint8_t>((packed[j + 4] >> 4) | ((packed[j] >> 6) << 4));
}

void put_scale_min(uint8_t* packed, int j, uint8_t scale, uint8_t min) {
  if (j < 4) {
    packed[j] = static_cast<uint8_t>((packed[j] & 0xc0) | scale);
    packed[j + 4] = static_cast<uint8_t>((packed[j + 4] & 0xc0) | min);
    return;
  }
  packed[j + 4] = static_cast<uint8_t>((scale & 15) | (min << 4));
  packed[j - 4] = static_cast<uint8_t>((packed[j - 4] & 63) | ((scale >> 4) << 6));
  packed[j] = static_cast<uint8_t>((packed[j] & 63) | ((min >> 4) << 6));
}

// Codes of one block of one row, as they come out of ggml's form: unsigned, column order.
using Codes = uint8_t[kBlock];

uint32_t word_of(const uint8_t* four) {
  uint32_t word;
  std::memcpy(&word, four, 4);
  return word;
}

// Where the parts of one block of one row go. Every pointer is already at the row.
struct BlockSlot {
  uint8_t* codes;
  uint8_t* high;
};

int code_bits(WeightFormat format) {
  switch (format) {
    case WeightFormat::kQ8_0:
      return 8;
    case WeightFormat::kQ4_0:
    case WeightFormat::kQ4_K:
      return 4;
    case WeightFormat::kQ5_K:
      return 5;
    case WeightFormat::kQ6_K:
      return 6;
    default:
      return 0;
  }
}

BlockSlot slot_of(uint8_t* panel, const PanelLayout& layout, int bits, int64_t block,
                  int64_t lane) {
  const int64_t code_bytes = bits == 8 ? 512 : 256;
  const int64_t high_bytes = bits == 5 ? 64 : 128;
  return {panel + block * code_bytes + lane * 4,
          panel + layout.high + static_cast<size_t>(block * high_bytes + lane * 4)};
}

void put_codes(int bits, const Codes& u, const BlockSlot& slot) {
  uint32_t w[kGroups];
  for (int g = 0; g < kGroups; ++g) w[g] = word_of(u + 4 * g);
  if (bits == 8) {
    for (int g = 0; g < kGroups; ++g) std::memcpy(slot.codes + 64 * g, &w[g], 4);
    return;
  }
  for (int g = 0; g < 4; ++g) {
    const uint32_t word = (w[g] & 0x0f0f0f0f) | ((w[g + 4] & 0x0f0f0f0f) << 4);
    std::memcpy(slot.codes + 64 * g, &word, 4);
  }
  if (bits == 5) {
    uint32_t word = 0;
    for (int g = 0; g < kGroups; ++g) word |= ((w[g] >> 4) & 0x01010101) << g;
    std::memcpy(slot.high, &word, 4);
  } else if (bits == 6) {
    for (int half = 0; half < 2; ++half) {
      uint32_t word = 0;
      for (int g = 0; g < 4; ++g) word |= ((w[4 * half + g] >> 4) & 0x03030303) << (2 * g);
      std::memcpy(slot.high + 64 * half, &word, 4);
    }
  }
}

void get_codes(int bits, const BlockSlot& slot, Codes& u) {
  for (int g = 0; g < kGroups; ++g) {
    uint32_t word = word_of(slot.codes + 64 * (bits == 8 ? g : g & 3));
    if (bits != 8) word = (word >> (g < 4 ? 0 : 4)) & 0x0f0f0f0f;
    if (bits == 5) word |= ((word_of(slot.high) >> g) & 0x01010101) << 4;
    if (bits == 6)
      word |= ((word_of(slot.high + 64 * (g >> 2)) >> (2 * (g & 3))) & 0x03030303) << 4;
    std::memcpy(u + 4 * g, &word, 4);
  }
}

// Columns of a 256-wide super-block, ggml's order of bits <-> codes in column order.
void codes_from_q4_k(const uint8_t* q, uint8_t* u) {
  for (int j = 0; j < 256; ++j) {
    const uint8_t byte = q[(j / 64) * 32 + j % 32];
    u[j] = (j % 64) < 32 ? byte & 15 : byte >> 4;
  }
}
void codes_to_q4_k(const uint8_t* u, uint8_t* q) {
  for (int j = 0; j < 128; ++j) {
    const int low = (j / 32) * 64 + j % 32;
    q[j] = static_cast<uint8_t>((u[low] & 15) | (u[low + 32] << 4));
  }
}
void codes_from_q6_k(const BlockQ6_K& b, uint8_t* u) {
  for (int j = 0; j < 256; ++j) {
    const int half = j / 128, quarter = (j % 128) / 32, l = j % 32;
    const uint8_t low = b.low[half * 64 + (quarter & 1) * 32 + l];
    const uint8_t high = b.high[half * 32 + l];
    u[j] = static_cast<uint8_t>((quarter < 2 ? low & 15 : low >> 4) |
                                (((high >> (2 * quarter)) & 3) << 4));
  }
}
void codes_to_q6_k(const uint8_t* u, BlockQ6_K* b) {
  std::memset(b->low, 0, sizeof(b->low));
  std::memset(b->high, 0, sizeof(b->high));
  for (int j = 0; j < 256; ++j) {
    const int half = j / 128, quarter = (j % 128) / 32, l = j % 32;
    b->low[half * 64 + (quarter & 1) * 32 + l] |=
        static_cast<uint8_t>((u[j] & 15) << (quarter < 2 ? 0 : 4));
    b->high[half * 32 + l] |= static_cast<uint8_t>((u[j] >> 4) << (2 * quarter));
  }
}

void put_half(uint8_t* section, int64_t index, Half value) {
  std::memcpy(section + index * 2, &value, 2);
}
Half get_half(const uint8_t* section, int64_t index) {
  Half value;
  std::memcpy(&value, section + index * 2, 2);
  return value;
}

// One super-block of a K-quant: codes in column order with its scales.
struct SuperBlock {
  uint8_t u[kSuperBlock];
  uint8_t scale[16];  // Q4_K, Q5_K: eight; Q6_K: sixteen, int8 bits
  uint8_t min[8];
  Half d, dmin;
};

SuperBlock read_super(WeightFormat format, const void* src, int64_t index) {
  SuperBlock s{};
  if (format == WeightFormat::kQ6_K) {
    const auto& b = static_cast<const BlockQ6_K*>(src)[index];
    codes_from_q6_k(b, s.u);
    std::memcpy(s.scale, b.scales, 16);
    s.d = b.d;
    return s;
  }
  const bool five = format == WeightFormat::kQ5_K;
  const auto* b4 = static_cast<const BlockQ4_K*>(src) + (five ? 0 : index);
  const auto* b5 = static_cast<const BlockQ5_K*>(src) + (five ? index : 0);
  codes_from_q4_k(five ? b5->q : b4->q, s.u);
  for (int j = 0; five && j < kSuperBlock; ++j) {
    s.u[j] |= static_cast<uint8_t>(((b5->high[j % 32] >> (j / 32)) & 1) << 4);
  }
  for (int j = 0; j < 8; ++j) {
    get_scale_min(five ? b5->scales : b4->scales, j, &s.scale[j], &s.min[j]);
  }
  s.d = five ? b5->d : b4->d;
  s.dmin = five ? b5->dmin : b4->dmin;
  return s;
}

void write_super(WeightFormat format, const SuperBlock& s, void* dst, int64_t index) {
  if (format == WeightFormat::kQ6_K) {
    auto& b = static_cast<BlockQ6_K*>(dst)[index];
    codes_to_q6_k(s.u, &b);
    std::memcpy(b.scales, s.scale, 16);
    b.d = s.d;
    return;
  }
  const bool five = format == WeightFormat::kQ5_K;
  auto* b4 = static_cast<BlockQ4_K*>(dst) + (five ? 0 : index);
  auto* b5 = static_cast<BlockQ5_K*>(dst) + (five ? index : 0);
  codes_to_q4_k(s.u, five ? b5->q : b4->q);
  if (five) {
    std::memset(b5->high, 0, sizeof(b5->high));
    for (int j = 0; j < kSuperBlock; ++j) {
      b5->high[j % 32] |= static_cast<uint8_t>((s.u[j] >> 4) << (j / 32));
    }
  }
  for (int j = 0; j < 8; ++j) {
    put_scale_min(five ? b5->scales : b4->scales, j, s.scale[j], s.min[j]);
  }
  (five ? b5->d : b4->d) = s.d;
  (five ? b5->dmin : b4->dmin) = s.dmin;
}

void pack_super_row(WeightFormat format, const PanelLayout& layout, int64_t lane, const void* src,
                    uint8_t* panel) {
  const int bits = code_bits(format);
  const bool six = format == WeightFormat::kQ6_K;
  for (int64_t i = 0; i < layout.blocks / 8; ++i) {
    const SuperBlock s = read_super(format, src, i);
    for (int j = 0; j < 8; ++j) {
      const int64_t block = 8 * i + j;
      Codes u;
      std::memcpy(u, s.u + 32 * j, 32);
      put_codes(bits, u, slot_of(panel, layout, bits, block, lane));
      uint8_t* scales = panel + layout.scales + block * 32;
      scales[lane] = six ? s.scale[2 * j] : s.scale[j];
      scales[16 + lane] = six ? s.scale[2 * j + 1] : s.min[j];
    }
    uint8_t* super = panel + layout.super + i * (six ? 32 : 64);
    put_half(super, lane, s.d);
    if (!six) put_half(super, 16 + lane, s.dmin);
  }
}

void unpack_super_row(WeightFormat format, const PanelLayout& layout, int64_t lane,
                      const uint8_t* panel, void* dst) {
  const int bits = code_bits(format);
  const bool six = format == WeightFormat::kQ6_K;
  for (int64_t i = 0; i < layout.blocks / 8; ++i) {
    SuperBlock s{};
    for (int j = 0; j < 8; ++j) {
      const int64_t block = 8 * i + j;
      Codes u;
      get_codes(bits, slot_of(const_cast<uint8_t*>(panel), layout, bits, block, lane), u);
      std::memcpy(s.u + 32 * j, u, 32);
      const uint8_t* scales = panel + layout.scales + block * 32;
      s.scale[six ? 2 * j : j] = scales[lane];
      (six ? s.scale[2 * j + 1] : s.min[j]) = scales[16 + lane];
    }
    const uint8_t* super = panel + layout.super + i * (six ? 32 : 64);
    s.d = get_half(super, lane);
    if (!six) s.dmin = get_half(super, 16 + lane);
    write_super(format, s, dst, i);
  }
}

void pack_simple_row(WeightFormat format, const PanelLayout& layout, int64_t lane, const void* src,
                     uint8_t* panel) {
  const int bits = code_bits(format);
  for (int64_t b = 0; b < layout.blocks; ++b) {
    Codes u;
    Half d;
    if (bits == 8) {
      const auto& block = static_cast<const BlockQ8_0*>(src)[b];
      // The dot product wants one unsigned operand: weights are stored plus 128.
      for (int j = 0; j < kBlock; ++j) u[j] = static_cast<uint8_t>(block.q[j] ^ 0x80);
      d = block.d;
    } else {
      const auto& block = static_cast<const BlockQ4_0*>(src)[b];
      for (int j = 0; j < 16; ++j) {
        u[j] = block.q[j] & 15;
        u[j + 16] = block.q[j] >> 4;
      }
      d = block.d;
    }
    put_codes(bits, u, slot_of(panel, layout, bits, b, lane));
    put_half(panel + layout.scales, b * kPanelRows + lane, d);
  }
}

void unpack_simple_row(WeightFormat format, const PanelLayout& layout, int64_t lane,
                       const uint8_t* panel, void* dst) {
  const int bits = code_bits(format);
  for (int64_t b = 0; b < layout.blocks; ++b) {
    Codes u;
    get_codes(bits, slot_of(const_cast<uint8_t*>(panel), layout, bits, b, lane), u);
    const Half d = get_half(panel + layout.scales, b * kPanelRows + lane);
    if (bits == 8) {
      auto& block = static_cast<BlockQ8_0*>(dst)[b];
      for (int j = 0; j < kBlock; ++j) block.q[j] = static_cast<int8_t>(u[j] ^ 0x80);
      block.d = d;
    } else {
      auto& block = static_cast<BlockQ4_0*>(dst)[b];
      for (int j = 0; j < 16; ++j) block.q[j] = static_cast<uint8_t>(u[j] | (u[j + 16] << 4));
      block.d = d;
    }
  }
}

// Byte offset of element (lane, column) of a float format in its panel.
int64_t float_offset(WeightFormat format, int64_t lane, int64_t column) {
  switch (format) {
    case WeightFormat::kF32:
      return (column * kPanelRows + lane) * 4;
    case WeightFormat::kF16:
      return (column * kPanelRows + lane) * 2;
    default:
      return ((column / 2) * kPanelRows + lane) * 4 + (column % 2) * 2;  // BF16: pairs
  }
}
int element_bytes(WeightFormat format) { return format == WeightFormat::kF32 ? 4 : 2; }

bool is_float(WeightFormat format) {
  return format == WeightFormat::kF16 || format == WeightFormat::kBF16 ||
         format == WeightFormat::kF32;
}
bool is_super(WeightFormat format) {
  return format == WeightFormat::kQ4_K || format == WeightFormat::kQ5_K ||
         format == WeightFormat::kQ6_K;
}

}  // namespace

std::optional<WeightFormat> weight_format(ggml_type type) {
  switch (type) {
    case GGML_TYPE_Q8_0:
      return WeightFormat::kQ8_0;
    case GGML_TYPE_Q4_0:
      return WeightFormat::kQ4_0;
    case GGML_TYPE_Q4_K:
      return WeightFormat::kQ4_K;
    case GGML_TYPE_Q5_K:
      return WeightFormat::kQ5_K;
    case GGML_TYPE_Q6_K:
      return WeightFormat::kQ6_K;
    case GGML_TYPE_F16:
      return WeightFormat::kF16;
    case GGML_TYPE_BF16:
      return WeightFormat::kBF16;
    case GGML_TYPE_F32:
      return WeightFormat::kF32;
    default:
      return std::nullopt;
  }
}

ActivationFormat activation_format(WeightFormat format) {
  if (format == WeightFormat::kBF16) return ActivationFormat::kBF16;
  return is_float(format) ? ActivationFormat::kF32 : ActivationFormat::kInt8;
}

const char* weight_format_name(WeightFormat format) {
  static constexpr const char* kNames[kWeightFormats] = {"Q8_0", "Q4_0", "Q4_K", "Q5_K",
                                                         "Q6_K", "F16",  "BF16", "F32"};
  return kNames[static_cast<int>(format)];
}

PanelLayout panel_layout(WeightFormat format, int64_t n_columns) {
  PanelLayout layout;
  if (is_float(format)) {
    const auto even = static_cast<size_t>((n_columns + 1) / 2 * 2);
    layout.bytes = even * kPanelRows * static_cast<size_t>(element_bytes(format));
    layout.high = layout.scales = layout.super = layout.bytes;
    return layout;
  }
  layout.blocks = (n_columns + kBlock - 1) / kBlock;
  const auto blocks = static_cast<size_t>(layout.blocks);
  const int bits = code_bits(format);
  layout.high = blocks * (bits == 8 ? 512 : 256);
  layout.scales = layout.high + blocks * (bits == 5 ? 64 : bits == 6 ? 128 : 0);
  layout.super = round_up(layout.scales + blocks * 32, kAlign);
  const size_t super_bytes = bits == 6 ? 32 : 64;
  layout.bytes = layout.super + (is_super(format) ? blocks / 8 * super_bytes : 0);
  layout.bytes = round_up(layout.bytes, kAlign);
  return layout;
}

size_t packed_bytes(WeightFormat format, int64_t n_columns, int64_t n_rows) {
  return panel_layout(format, n_columns).bytes * static_cast<size_t>(panel_count(n_rows));
}

void pack_row(WeightFormat format, int64_t n_columns, int64_t row, const void* src, void* packed) {
  const PanelLayout layout = panel_layout(format, n_columns);
  uint8_t* panel =
      static_cast<uint8_t*>(packed) + static_cast<size_t>(row / kPanelRows) * layout.bytes;
  const int64_t lane = row % kPanelRows;
  if (is_float(format)) {
    const int size = element_bytes(format);
    const auto* bytes = static_cast<const uint8_t*>(src);
    for (int64_t c = 0; c < n_columns; ++c) {
      std::memcpy(panel + float_offset(format, lane, c), bytes + c * size,
                  static_cast<size_t>(size));
    }
    return;
  }
  if (is_super(format)) return pack_super_row(format, layout, lane, src, panel);
  pack_simple_row(format, layout, lane, src, panel);
}

void unpack_row(WeightFormat format, int64_t n_columns, int64_t row, const void* packed,
                void* dst) {
  const PanelLayout layout = panel_layout(format, n_columns);
  const uint8_t* panel =
      static_cast<const uint8_t*>(packed) + static_cast<size_t>(row / kPanelRows) * layout.bytes;
  const int64_t lane = row % kPanelRows;
  if (is_float(format)) {
    const int size = element_bytes(format);
    auto* bytes = static_cast<uint8_t*>(dst);
    for (int64_t c = 0; c < n_columns; ++c) {
      std::memcpy(bytes + c * size, panel + float_offset(format, lane, c),
                  static_cast<size_t>(size));
    }
    return;
  }
  if (is_super(format)) return unpack_super_row(format, layout, lane, panel, dst);
  unpack_simple_row(format, layout, lane, panel, dst);
}

}  // namespace gumbelspec::kernels
