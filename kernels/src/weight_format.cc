#include "kernels/src/weight_format.h"

#include <cstring>
#include <type_traits>

#include "kernels/src/formats.h"

namespace gumbelspec::kernels {
namespace {

constexpr size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// ---- quantised types ----

uint32_t word_of(const uint8_t* four) {
  uint32_t word;
  std::memcpy(&word, four, 4);
  return word;
}

// The lowest n bits of each of four bytes.
constexpr uint32_t low_bits(int n) { return 0x01010101U * ((1U << n) - 1); }

// The codes of a block of one row; `low` and `high` are already at the row. With kLowBits of 4
// groups 0-3 lie in the low and 4-7 in the high nibbles; the upper bits lie one group after the
// other.
template <class Format>
void put_codes(const uint8_t* codes, uint8_t* low, uint8_t* high) {
  constexpr int kLow = Format::kLowBits, kHigh = Format::kHighBits;
  uint32_t words[kLow] = {}, upper[kHigh + 1] = {};
  for (int64_t g = 0; g < kGroups; ++g) {
    const uint32_t four = word_of(codes + 4 * g);
    words[g % kLow] |= (four & low_bits(kLow)) << g / kLow * kLow;
    if (kHigh > 0) upper[kHigh * g / 8] |= ((four >> kLow) & low_bits(kHigh)) << kHigh * g % 8;
  }
  for (int64_t i = 0; i < kLow; ++i) std::memcpy(low + 64 * i, &words[i], 4);
  for (int64_t i = 0; i < kHigh; ++i) std::memcpy(high + 64 * i, &upper[i], 4);
}

template <class Format>
void get_codes(const uint8_t* low, const uint8_t* high, uint8_t* codes) {
  constexpr int kLow = Format::kLowBits, kHigh = Format::kHighBits;
  for (int64_t g = 0; g < kGroups; ++g) {
    uint32_t four = (word_of(low + 64 * (g % kLow)) >> g / kLow * kLow) & low_bits(kLow);
    if (kHigh > 0) {
      const uint32_t upper = word_of(high + 64 * (kHigh * g / 8)) >> kHigh * g % 8;
      four |= (upper & low_bits(kHigh)) << kLow;
    }
    std::memcpy(codes + 4 * g, &four, 4);
  }
}

// n fields of `size` bytes of one row, to and from where those of all rows lie.
void put_fields(const void* fields, int n, size_t size, int64_t row, uint8_t* section) {
  for (int f = 0; f < n; ++f) {
    std::memcpy(section + static_cast<size_t>(f * kPanelRows + row) * size,
                static_cast<const uint8_t*>(fields) + static_cast<size_t>(f) * size, size);
  }
}
void get_fields(const uint8_t* section, int n, size_t size, int64_t row, void* fields) {
  for (int f = 0; f < n; ++f) {
    std::memcpy(static_cast<uint8_t*>(fields) + static_cast<size_t>(f) * size,
                section + static_cast<size_t>(f * kPanelRows + row) * size, size);
  }
}

template <class Format>
struct Quantised {
  // What the products rely on.
  static_assert(Format::kValueBits < 8 || Format::kOffset == 128);

  static PanelLayout layout(int64_t n_columns) {
    PanelLayout layout;
    layout.blocks = (n_columns + kBlock - 1) / kBlock;
    const int64_t n = layout.blocks;
    layout.high = static_cast<size_t>(n * kCodePitch<Format>);
    layout.scales = layout.high + static_cast<size_t>(n * kHighPitch<Format>);
    layout.super = round_up(layout.scales + static_cast<size_t>(n * kScalePitch<Format>), kAlign);
    layout.bytes = round_up(
        layout.super + static_cast<size_t>(n / kBlocksOfSuper<Format> * kSuperPitch<Format>),
        kAlign);
    return layout;
  }

  // Row `row` of the panel.
  static void pack(int64_t n_columns, int64_t row, const void* src, uint8_t* panel) {
    const PanelLayout at = layout(n_columns);
    for (int64_t i = 0; i < at.blocks / kBlocksOfSuper<Format>; ++i) {
      Parts<Format> parts;
      Format::read(static_cast<const typename Format::Block*>(src)[i], &parts);
      for (int64_t j = 0; j < kBlocksOfSuper<Format>; ++j) {
        const int64_t b = i * kBlocksOfSuper<Format> + j;
        put_codes<Format>(parts.codes + kBlock * j, panel + b * kCodePitch<Format> + 4 * row,
                          panel + at.high + b * kHighPitch<Format> + 4 * row);
        put_fields(parts.scales[j], Format::kScaleFields, Format::kScaleBytes, row,
                   panel + at.scales + b * kScalePitch<Format>);
      }
      put_fields(parts.super, Format::kSuperFields, sizeof(Half), row,
                 panel + at.super + i * kSuperPitch<Format>);
    }
  }

  static void unpack(int64_t n_columns, int64_t row, const uint8_t* panel, void* dst) {
    const PanelLayout at = layout(n_columns);
    for (int64_t i = 0; i < at.blocks / kBlocksOfSuper<Format>; ++i) {
      Parts<Format> parts;
      for (int64_t j = 0; j < kBlocksOfSuper<Format>; ++j) {
        const int64_t b = i * kBlocksOfSuper<Format> + j;
        get_codes<Format>(panel + b * kCodePitch<Format> + 4 * row,
                          panel + at.high + b * kHighPitch<Format> + 4 * row,
                          parts.codes + kBlock * j);
        get_fields(panel + at.scales + b * kScalePitch<Format>, Format::kScaleFields,
                   Format::kScaleBytes, row, parts.scales[j]);
      }
      get_fields(panel + at.super + i * kSuperPitch<Format>, Format::kSuperFields, sizeof(Half),
                 row, parts.super);
      Format::write(parts, &static_cast<typename Format::Block*>(dst)[i]);
    }
  }
};

// ---- floats ----

template <class Format>
struct Floats {
  static constexpr int64_t kSize = Format::kElementBytes;

  static PanelLayout layout(int64_t n_columns) {
    PanelLayout layout;
    layout.bytes = static_cast<size_t>((n_columns + 1) / 2 * 2 * kPanelRows * kSize);
    layout.high = layout.scales = layout.super = layout.bytes;
    return layout;
  }
  // Byte offset of an element in its panel.
  static int64_t offset(int64_t row, int64_t column) {
    if constexpr (Format::kPairs) {
      return (column / 2 * kPanelRows + row) * 2 * kSize + column % 2 * kSize;
    } else {
      return (column * kPanelRows + row) * kSize;
    }
  }
  static void pack(int64_t n_columns, int64_t row, const void* src, uint8_t* panel) {
    const auto* from = static_cast<const uint8_t*>(src);
    for (int64_t c = 0; c < n_columns; ++c) {
      std::memcpy(panel + offset(row, c), from + c * kSize, kSize);
    }
  }
  static void unpack(int64_t n_columns, int64_t row, const uint8_t* panel, void* dst) {
    auto* to = static_cast<uint8_t*>(dst);
    for (int64_t c = 0; c < n_columns; ++c) {
      std::memcpy(to + c * kSize, panel + offset(row, c), kSize);
    }
  }
};

// ---- by type ----

struct Functions {
  const char* name = nullptr;
  ActivationFormat activations{};
  PanelLayout (*layout)(int64_t n_columns) = nullptr;
  void (*pack)(int64_t n_columns, int64_t row, const void* src, uint8_t* panel) = nullptr;
  void (*unpack)(int64_t n_columns, int64_t row, const uint8_t* panel, void* dst) = nullptr;
};

template <class Format>
struct FunctionsOf {
  using Rows = std::conditional_t<Format::kActivations == ActivationFormat::int8, Quantised<Format>,
                                  Floats<Format>>;
  static constexpr Functions kEntry = {Format::kName, Format::kActivations, Rows::layout,
                                       Rows::pack, Rows::unpack};
};

const Functions& functions_of(ggml_type type) {
  return ByFormat<Functions, FunctionsOf>::kEntries[type];
}

}  // namespace

std::vector<ggml_type> weight_types() {
  std::vector<ggml_type> types;
  for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
    if (is_weight_type(static_cast<ggml_type>(i))) types.push_back(static_cast<ggml_type>(i));
  }
  return types;
}

bool is_weight_type(ggml_type type) {
  return type < GGML_TYPE_COUNT && functions_of(type).name != nullptr;
}

const char* weight_type_name(ggml_type type) { return functions_of(type).name; }

ActivationFormat activation_format(ggml_type type) { return functions_of(type).activations; }

PanelLayout panel_layout(ggml_type type, int64_t n_columns) {
  return functions_of(type).layout(n_columns);
}

size_t packed_bytes(ggml_type type, int64_t n_columns, int64_t n_rows) {
  return panel_layout(type, n_columns).bytes * static_cast<size_t>(panel_count(n_rows));
}

void pack_row(ggml_type type, int64_t n_columns, int64_t row, const void* src, void* packed) {
  uint8_t* panel =
      static_cast<uint8_t*>(packed) + packed_bytes(type, n_columns, row / kPanelRows * kPanelRows);
  functions_of(type).pack(n_columns, row % kPanelRows, src, panel);
}

void unpack_row(ggml_type type, int64_t n_columns, int64_t row, const void* packed, void* dst) {
  const uint8_t* panel = static_cast<const uint8_t*>(packed) +
                         packed_bytes(type, n_columns, row / kPanelRows * kPanelRows);
  functions_of(type).unpack(n_columns, row % kPanelRows, panel, dst);
}

}  // namespace gumbelspec::kernels
