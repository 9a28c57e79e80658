// One function, compiled with the compiler's own intrinsics and with our mend of them.
#ifndef GUMBELSPEC_TESTS_PROCESSORS_AMX_TILE_CONFIG_H_
#define GUMBELSPEC_TESTS_PROCESSORS_AMX_TILE_CONFIG_H_

#include <array>
#include <cstdint>

namespace gumbelspec::testing {

using TileConfigBytes = std::array<std::uint8_t, 64>;

// Configures tiles as ggml does and gives back what the processor then holds.
TileConfigBytes configure_tiles_mended();
TileConfigBytes configure_tiles_unmended();

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_PROCESSORS_AMX_TILE_CONFIG_H_
