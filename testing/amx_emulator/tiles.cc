#include "testing/amx_emulator/tiles.h"

#include <algorithm>
#include <cstring>

namespace gumbelspec::testing::amx {
namespace {

// Offsets in the 64 bytes of a configuration.
constexpr std::size_t kRowBytesAt = 16;  // 16 bits per tile
constexpr std::size_t kRowsAt = 48;      // 8 bits per tile

bool are_zero(const std::uint8_t* config, std::size_t begin, std::size_t end) {
  return std::all_of(config + begin, config + end, [](std::uint8_t byte) { return byte == 0; });
}

std::int32_t widened(std::uint8_t byte, bool is_signed) {
  return is_signed ? static_cast<std::int8_t>(byte) : byte;
}

// sums[n] += x . y[n], each of four bytes, n sums of 32 bits.
void add_products(const std::uint8_t* x, const std::uint8_t* y, unsigned n, Signs signs,
                  std::uint8_t* sums) {
  for (unsigned i = 0; i < n; ++i) {
    std::uint32_t total = 0;
    std::memcpy(&total, sums + 4 * i, sizeof total);
    for (unsigned j = 0; j < 4; ++j) {
      total += static_cast<std::uint32_t>(widened(x[j], signs.first) *
                                          widened(y[4 * i + j], signs.second));
    }
    std::memcpy(sums + 4 * i, &total, sizeof total);
  }
}

}  // namespace

Outcome Tiles::load_config(const std::uint8_t* config) {
  if (config[0] > 1) return Outcome::general_protection;
  if (config[0] == 0) {
    release();
    return Outcome::ok;
  }
  const bool is_reserved_zero = are_zero(config, 2, kRowBytesAt) &&
                                are_zero(config, kRowBytesAt + 2 * kTiles, kRowsAt) &&
                                are_zero(config, kRowsAt + kTiles, kConfigBytes);
  if (!is_reserved_zero) return Outcome::general_protection;
  Tiles next;
  for (unsigned i = 0; i < kTiles; ++i) {
    const unsigned row_bytes = config[kRowBytesAt + 2 * i] + 256U * config[kRowBytesAt + 2 * i + 1];
    const unsigned rows = config[kRowsAt + i];
    if (row_bytes > kRowBytes || rows > kRows || (row_bytes == 0) != (rows == 0)) {
      return Outcome::general_protection;
    }
    next.shapes_[i] = {rows, row_bytes};
  }
  next.is_configured_ = true;
  next.start_row_ = config[1];
  *this = next;
  return Outcome::ok;
}

void Tiles::store_config(std::uint8_t* config) const {
  std::memset(config, 0, kConfigBytes);
  if (!is_configured_) return;
  config[0] = 1;
  config[1] = static_cast<std::uint8_t>(start_row_);
  for (unsigned i = 0; i < kTiles; ++i) {
    config[kRowBytesAt + 2 * i] = static_cast<std::uint8_t>(shapes_[i].row_bytes);
    config[kRowsAt + i] = static_cast<std::uint8_t>(shapes_[i].rows);
  }
}

Outcome Tiles::zero(unsigned tile) {
  if (!is_valid(tile)) return Outcome::undefined_opcode;
  data_[tile] = {};
  start_row_ = 0;
  return Outcome::ok;
}

Outcome Tiles::load(unsigned tile, const std::uint8_t* base, std::int64_t stride) {
  if (!can_move(tile)) return Outcome::undefined_opcode;
  const Shape shape = shapes_[tile];
  for (unsigned i = start_row_; i < kRows; ++i) {
    Row& row = data_[tile][i];
    row = {};
    if (i < shape.rows) std::memcpy(row.data(), base + i * stride, shape.row_bytes);
  }
  start_row_ = 0;
  return Outcome::ok;
}

Outcome Tiles::store(unsigned tile, std::uint8_t* base, std::int64_t stride) {
  if (!can_move(tile)) return Outcome::undefined_opcode;
  const Shape shape = shapes_[tile];
  for (unsigned i = start_row_; i < shape.rows; ++i) {
    std::memcpy(base + i * stride, data_[tile][i].data(), shape.row_bytes);
  }
  start_row_ = 0;
  return Outcome::ok;
}

Outcome Tiles::multiply(unsigned sum, unsigned a, unsigned b, Signs signs) {
  if (sum == a || sum == b || a == b || !is_valid(sum) || !is_valid(a) || !is_valid(b)) {
    return Outcome::undefined_opcode;
  }
  const Shape c = shapes_[sum];
  const bool fits = c.row_bytes % 4 == 0 && shapes_[a].row_bytes % 4 == 0 &&
                    shapes_[b].row_bytes == c.row_bytes && shapes_[a].rows == c.rows &&
                    shapes_[a].row_bytes / 4 == shapes_[b].rows;
  if (!fits) return Outcome::undefined_opcode;
  for (unsigned m = 0; m < c.rows; ++m) {
    Row& sums = data_[sum][m];
    for (unsigned k = 0; k < shapes_[b].rows; ++k) {
      add_products(&data_[a][m][4 * k], data_[b][k].data(), c.row_bytes / 4, signs, sums.data());
    }
    std::fill(sums.begin() + c.row_bytes, sums.end(), std::uint8_t{0});
  }
  std::fill(data_[sum].begin() + c.rows, data_[sum].end(), Row{});
  start_row_ = 0;
  return Outcome::ok;
}

}  // namespace gumbelspec::testing::amx
