#include "tests/kernels/amx_model.h"

#include <cstdlib>

#include "kernels/src/tile_products.h"
#include "testing/amx_emulator/tiles.h"

namespace gumbelspec::kernels {
namespace {

namespace amx = testing::amx;

// What a processor would refuse ends the test.
void expect(amx::Outcome outcome) {
  if (outcome != amx::Outcome::ok) std::abort();
}

struct AmxModel {
  static amx::Tiles& tiles() {
    static thread_local amx::Tiles of_thread;
    return of_thread;
  }
  static void configure(const TileConfig& config) {
    expect(tiles().load_config(reinterpret_cast<const uint8_t*>(&config)));
  }
  static void release() { tiles().release(); }
  template <int kTile>
  static void zero() {
    expect(tiles().zero(kTile));
  }
  template <int kTile>
  static void load(const void* from, int64_t stride) {
    expect(tiles().load(kTile, static_cast<const uint8_t*>(from), stride));
  }
  template <int kTile>
  static void store(void* to, int64_t stride) {
    expect(tiles().store(kTile, static_cast<uint8_t*>(to), stride));
  }
  template <int kSum, int kLeft, int kRight>
  static void multiply() {
    expect(tiles().multiply(kSum, kLeft, kRight, {true, true}));
  }
};

}  // namespace

bool gemm_amx_model(const GemmJob& job, int64_t begin, int64_t end) {
  const Product on_tiles = tile_product<AmxModel>(job);
  if (on_tiles == nullptr) return false;
  on_tiles(job, begin, end);
  return true;
}

}  // namespace gumbelspec::kernels
