// GCC 12's _tile_loadconfig loses most of the configuration (cmake/ggml/amx_tile.h). Runs on every
// x86-64 processor: LDTILECFG needs nothing but AMX, and that is emulated where it is missing.
#include "tests/processors/amx_tile_config.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "testing/amx_emulator/amx_emulator.h"

namespace gumbelspec::testing {
namespace {

constexpr int kAskPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
constexpr int kTileData = 18;

TileConfigBytes expected() {
  TileConfigBytes bytes{};
  bytes[0] = 1;
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[16 + 2 * i] = i == 2 || i == 3 ? 32 : 64;
    bytes[48 + i] = i < 2 ? 8 : 16;
  }
  return bytes;
}

// A stack whose old contents are no valid configuration.
__attribute__((noinline)) void soil_the_stack() {
  volatile unsigned char bytes[4096];
  for (std::size_t i = 0; i < sizeof bytes; ++i) bytes[i] = static_cast<unsigned char>(i * 7 + 3);
}

class TileConfig : public ::testing::Test {
 protected:
  void SetUp() override {
    if (amx_emulator_is_idle()) GTEST_LOG_(INFO) << "on the processor's own AMX";
    ASSERT_EQ(::syscall(SYS_arch_prctl, kAskPermission, kTileData), 0);
    soil_the_stack();
  }
};

TEST_F(TileConfig, ReachesTheProcessorWholeWithOurMend) {
  EXPECT_EQ(configure_tiles_mended(), expected());
}

// The control: without the mend the processor refuses it, or holds other tiles.
TEST_F(TileConfig, DoesNotReachItWithACompilerThatLosesIt) {
  bool is_right = false;
  const auto look_at = [&](int status) {
    is_right = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return true;
  };
  EXPECT_EXIT(std::_Exit(configure_tiles_unmended() == expected() ? 0 : 1), look_at, "");
  if (is_right) GTEST_SKIP() << "this compiler's own intrinsic is right";
}

}  // namespace
}  // namespace gumbelspec::testing
