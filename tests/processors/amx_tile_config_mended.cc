#include <immintrin.h>

#include "tests/processors/amx_tile_config.h"

namespace gumbelspec::testing {
namespace {

#include "tests/processors/amx_tile_config.inc"

}  // namespace

TileConfigBytes configure_tiles_mended() { return configure_tiles(); }

}  // namespace gumbelspec::testing
