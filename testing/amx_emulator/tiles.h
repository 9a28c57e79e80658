// The state of AMX's tiles and what its instructions do to it, after Intel's manual (volume 2,
// LDTILECFG to TILEZERO): palette 1, eight tiles of up to 16 rows of 64 bytes.
#ifndef GUMBELSPEC_TESTING_AMX_EMULATOR_TILES_H_
#define GUMBELSPEC_TESTING_AMX_EMULATOR_TILES_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace gumbelspec::testing::amx {

constexpr unsigned kTiles = 8;
constexpr unsigned kRows = 16;
constexpr unsigned kRowBytes = 64;
constexpr std::size_t kConfigBytes = 64;

// What a processor would do: go on, or raise that exception (Linux: SIGILL, SIGSEGV).
enum class Outcome { ok, undefined_opcode, general_protection };

// How TDPB..D reads the bytes of its first and second source.
struct Signs {
  bool first = true;
  bool second = true;
};

// The tiles of one thread. All zero: as a thread begins, not configured.
class Tiles {
 public:
  // LDTILECFG: a configuration that is not valid changes nothing.
  [[nodiscard]] Outcome load_config(const std::uint8_t* config);
  // STTILECFG: 64 bytes, all zero if there is no configuration.
  void store_config(std::uint8_t* config) const;
  void release() { *this = Tiles{}; }

  [[nodiscard]] Outcome zero(unsigned tile);
  // Row i of the tile is at base + i * stride.
  [[nodiscard]] Outcome load(unsigned tile, const std::uint8_t* base, std::int64_t stride);
  [[nodiscard]] Outcome store(unsigned tile, std::uint8_t* base, std::int64_t stride);
  // sum[m][n] += the products of four bytes of a[m][k] and b[k][n], over k; 32 bits that wrap.
  [[nodiscard]] Outcome multiply(unsigned sum, unsigned a, unsigned b, Signs signs);

 private:
  using Row = std::array<std::uint8_t, kRowBytes>;
  struct Shape {
    unsigned rows = 0;
    unsigned row_bytes = 0;
  };

  [[nodiscard]] bool is_valid(unsigned tile) const {
    return is_configured_ && tile < kTiles && shapes_[tile].rows != 0;
  }
  // Loads and stores go on at start_row, where an interrupt left them.
  [[nodiscard]] bool can_move(unsigned tile) const {
    return is_valid(tile) && shapes_[tile].row_bytes % 4 == 0 && start_row_ < shapes_[tile].rows;
  }

  bool is_configured_ = false;
  unsigned start_row_ = 0;
  std::array<Shape, kTiles> shapes_{};
  std::array<std::array<Row, kRows>, kTiles> data_{};
};

}  // namespace gumbelspec::testing::amx

#endif  // GUMBELSPEC_TESTING_AMX_EMULATOR_TILES_H_
