// Products on AMX's tiles: the bits of AVX-512 VNNI, with a model of the instructions and with the
// instructions themselves (emulated where the processor lacks them).
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "gumbelspec/kernels.h"
#include "kernels/src/isa.h"
#include "kernels/src/weight_format.h"
#include "testing/amx_emulator/amx_emulator.h"
#include "tests/kernels/amx_model.h"
#include "tests/kernels/kernel_sets.h"
#include "tests/kernels/packed_matrix.h"

namespace gumbelspec::kernels {
namespace {

bool is_quantised(ggml_type type) { return activation_format(type) == ActivationFormat::int8; }

std::vector<ggml_type> quantised_types() {
  std::vector<ggml_type> types = weight_types();
  types.erase(std::remove_if(types.begin(), types.end(),
                             [](ggml_type type) { return !is_quantised(type); }),
              types.end());
  return types;
}

// Numbers of columns: at the first pass on tiles, and where a pass gets a tile more.
constexpr int kColumns[] = {1, 11, 12, 13, 15, 16, 17, 18, 23, 31, 32, 33, 40};
// From here on all columns of a pass are computed on tiles.
constexpr int kFirstOnTiles = 12;

class TileProducts : public ::testing::Test {
 protected:
  void SetUp() override {
    vnni_ = kernels_named("avx512");
    if (vnni_ == nullptr) GTEST_SKIP() << "this processor has no AVX-512 VNNI";
    model_ = *vnni_;
    model_.gemm = [](const GemmJob& job, int64_t begin, int64_t end) {
      const bool on_tiles = gemm_amx_model(job, begin, end);
      EXPECT_EQ(on_tiles, job.n >= kFirstOnTiles) << job.n << " columns";
      if (!on_tiles) kernels_named("avx512")->gemm(job, begin, end);
    };
    instructions_ = *vnni_;
    instructions_.gemm = kAmx.gemm;
  }

  void expect_same(const KernelSet& tiles, const Matrix& m, int n, const int32_t* places) const {
    const auto x = noise(static_cast<size_t>(m.k * n), static_cast<unsigned>(n), 20.0f);
    ASSERT_EQ(m.times(tiles, x, n, places), m.times(*vnni_, x, n, places))
        << weight_type_name(m.type) << " k " << m.k << " rows " << m.rows << " n " << n;
  }

  const KernelSet* vnni_ = nullptr;
  KernelSet model_{}, instructions_{};
};

// Columns up to three pieces of a panel, the last of them short; rows that fill panels and do not.
TEST_F(TileProducts, HaveTheBitsOfVnni) {
  for (const ggml_type type : quantised_types()) {
    const int64_t least = ggml_blck_size(type);
    for (const int64_t rows : {1, 16, 37}) {
      const Matrix small(type, rows == 1 ? least : 3 * least, rows);
      for (const int n : kColumns) expect_same(model_, small, n, nullptr);
    }
    const Matrix large(type, int64_t{2304} / least * least, 21);
    for (const int n : {12, 33}) expect_same(model_, large, n, nullptr);
  }
}

// A pass of a prompt's size: the order of the pieces changes once the activations outgrow a cache.
TEST_F(TileProducts, HaveTheBitsOfVnniForPrompts) {
  // One type of each form of scales: past unpacking, types do not differ.
  for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q6_K, GGML_TYPE_Q2_K}) {
    const Matrix m(type, 2304, 21);
    for (const int n : {150, 263}) expect_same(model_, m, n, nullptr);
  }
}

TEST_F(TileProducts, GoToTheirPlaces) {
  const Matrix m(GGML_TYPE_Q4_K, 256, 19);
  std::vector<int32_t> places(29);
  std::iota(places.rbegin(), places.rend(), 0);
  std::swap(places[3], places[20]);
  expect_same(model_, m, 29, places.data());
}

// The instructions as they are encoded. Emulated, each takes some microseconds.
TEST_F(TileProducts, HaveTheBitsOfVnniWithTheInstructions) {
  constexpr int kAskPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  if (::syscall(SYS_arch_prctl, kAskPermission, kTileData) != 0) {
    GTEST_SKIP() << "this processor has AMX, and its system does not permit it";
  }
  for (const ggml_type type : quantised_types()) {
    const Matrix m(type, 1280, 21);
    for (const int n : {kFirstOnTiles - 1, kFirstOnTiles, 16, 17, 35}) {
      const unsigned long before = amx_emulator_count();
      expect_same(instructions_, m, n, nullptr);
      EXPECT_EQ(amx_emulator_count() > before, n >= kFirstOnTiles && !amx_emulator_is_idle());
    }
  }
}

// No processor without tiles chooses them, by itself or when told to.
TEST(AmxSet, IsChosenWhereTheProcessorHasIt) {
  bool known = false;
  const KernelSet* amx = find_kernels("amx", &known);
  EXPECT_TRUE(known);
  EXPECT_EQ(instruction_sets().front(), "amx");
  if (!amx_emulator_is_idle()) {
    EXPECT_EQ(amx, nullptr);
  }
  if (amx != nullptr) {
    EXPECT_EQ(find_kernels("auto", &known), amx);
  }
}

}  // namespace
}  // namespace gumbelspec::kernels
