// Intel AMX's tile instructions, against plain loops over the manual's definitions. Where the
// processor has AMX the emulator stands aside and these are the processor's own answers.
#include "testing/amx_emulator/amx_emulator.h"

#include <gtest/gtest.h>
#include <immintrin.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace gumbelspec::testing {
namespace {

using ::testing::ExitedWithCode;
using ::testing::KilledBySignal;

constexpr int kAskPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
constexpr int kGetPermission = 0x1022;  // ARCH_GET_XCOMP_PERM
constexpr int kTileData = 18;

void ask_permission() { ASSERT_EQ(::syscall(SYS_arch_prctl, kAskPermission, kTileData), 0); }

struct alignas(64) Config {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

using Bytes = std::array<std::uint8_t, 64>;

Bytes held_config() {
  alignas(64) Bytes bytes;
  bytes.fill(0xEE);
  _tile_storeconfig(bytes.data());
  return bytes;
}

// 0: the sum, m x n; 1: m x k; 2: k x n.
Config config_of(std::uint8_t m, std::uint8_t k, std::uint8_t n) {
  Config config;
  const std::uint8_t rows[] = {m, m, k};
  const int row_bytes[] = {4 * n, 4 * k, 4 * n};
  for (int i = 0; i < 3; ++i) {
    config.rows[i] = rows[i];
    config.row_bytes[i] = static_cast<std::uint16_t>(row_bytes[i]);
  }
  return config;
}

template <class T>
std::vector<T> random_numbers(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<T> numbers(n);
  for (T& x : numbers) x = static_cast<T>(random());
  return numbers;
}

class Amx : public ::testing::Test {
 protected:
  void SetUp() override {
    ask_permission();
    if (amx_emulator_is_idle()) GTEST_LOG_(INFO) << "on the processor's own AMX";
  }
};

// Rows of 64 bytes and the sums of all four products.
struct Product {
  std::vector<std::uint8_t> a = random_numbers<std::uint8_t>(16 * 64, 1);
  std::vector<std::uint8_t> b = random_numbers<std::uint8_t>(16 * 64, 2);
  std::vector<std::int32_t> start = random_numbers<std::int32_t>(16 * 16, 3);

  [[nodiscard]] std::vector<std::int32_t> expected(int m, int k, int n, bool is_a_signed,
                                                   bool is_b_signed) const {
    const auto value = [](std::uint8_t byte, bool is_signed) {
      return static_cast<std::int64_t>(byte) - (is_signed && byte > 127 ? 256 : 0);
    };
    std::vector<std::int32_t> sums = start;
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < n; ++j) {
        std::int64_t sum = start[static_cast<std::size_t>(16 * i + j)];
        for (int l = 0; l < 4 * k; ++l) {
          sum += value(a[static_cast<std::size_t>(64 * i + l)], is_a_signed) *
                 value(b[static_cast<std::size_t>(64 * (l / 4) + 4 * j + l % 4)], is_b_signed);
        }
        sums[static_cast<std::size_t>(16 * i + j)] = static_cast<std::int32_t>(sum);
      }
    }
    return sums;
  }
};

TEST_F(Amx, MultipliesAsTheManualSays) {
  const Product product;
  for (const auto& [m, k, n] :
       {std::array<std::uint8_t, 3>{16, 16, 16}, {16, 8, 16}, {3, 5, 7}, {1, 1, 1}, {16, 1, 9}}) {
    const Config config = config_of(m, k, n);
    _tile_loadconfig(&config);
    _tile_loadd(1, product.a.data(), 64);
    _tile_loadd(2, product.b.data(), 64);
    std::vector<std::int32_t> sums[4];
    for (auto& sum : sums) sum = product.start;
#define GUMBELSPEC_PRODUCT(number, name)    \
  _tile_loadd(0, product.start.data(), 64); \
  name(0, 1, 2);                            \
  _tile_stored(0, sums[number].data(), 64)
    GUMBELSPEC_PRODUCT(0, _tile_dpbssd);
    GUMBELSPEC_PRODUCT(1, _tile_dpbsud);
    GUMBELSPEC_PRODUCT(2, _tile_dpbusd);
    GUMBELSPEC_PRODUCT(3, _tile_dpbuud);
#undef GUMBELSPEC_PRODUCT
    for (const int i : {0, 1, 2, 3}) {
      EXPECT_EQ(sums[i], product.expected(m, k, n, i < 2, i % 2 == 0)) << "product " << i;
    }
  }
  _tile_release();
}

TEST_F(Amx, MovesRowsByTheirStride) {
  const Config config = config_of(5, 3, 7);
  _tile_loadconfig(&config);
  const auto from = random_numbers<std::uint8_t>(16 * 100, 4);
  std::vector<std::uint8_t> to(16 * 80, 0xAA);
  _tile_loadd(0, from.data(), 100);
  _tile_stored(0, to.data(), 80);
  std::vector<std::uint8_t> expected(16 * 80, 0xAA);
  for (std::size_t i = 0; i < 5; ++i) {
    std::memcpy(expected.data() + i * 80, from.data() + i * 100, 28);
  }
  EXPECT_EQ(to, expected);
  _tile_zero(0);
  _tile_stored(0, to.data(), 80);
  for (std::size_t i = 0; i < 5; ++i) std::memset(expected.data() + i * 80, 0, 28);
  EXPECT_EQ(to, expected);
  _tile_release();
}

// Registers with a fourth bit, scales, displacements, memory of the thread and beside the code.
TEST_F(Amx, ReadsEveryFormOfAddress) {
  static const Config kBesideTheCode = config_of(4, 4, 4);
  __asm__ volatile("ldtilecfg %0" ::"m"(kBesideTheCode));
  static thread_local Config of_thread;
  of_thread = config_of(2, 2, 2);
  __asm__ volatile("ldtilecfg %0" ::"m"(of_thread));
  const Bytes held = held_config();
  EXPECT_EQ(std::memcmp(held.data(), &of_thread, 64), 0);

  const auto from = random_numbers<std::uint8_t>(4096, 5);
  std::vector<std::uint8_t> to(4096);
  __asm__ volatile(
      "mov %0, %%r13\n\tmov %2, %%r12\n\tmov %1, %%r9\n\t"
      "tileloadd 0x40(%%r13,%%r12,2), %%tmm0\n\t"
      "tilestored %%tmm0, -0x200(%%r9,%%r12,8)\n\t"
      "tileloaddt1 0x123(%%r13,%%r12,1), %%tmm0\n\t"
      "tilestored %%tmm0, (%%r9,%%r12,4)" ::"r"(from.data()),
      "r"(to.data() + 0x300), "r"(48L)
      : "r9", "r12", "r13", "memory");
  std::vector<std::uint8_t> expected(4096);
  for (std::size_t i = 0; i < 2; ++i) {
    std::memcpy(expected.data() + 0x100 + i * 48 * 8, from.data() + 0x40 + i * 48 * 2, 8);
    std::memcpy(expected.data() + 0x300 + i * 48 * 4, from.data() + 0x123 + i * 48, 8);
  }
  EXPECT_EQ(to, expected);
  _tile_release();
}

TEST_F(Amx, GivesItsConfigurationBackAndForgetsItWhenReleased) {
  const Config config = config_of(16, 8, 16);
  _tile_loadconfig(&config);
  const Bytes held = held_config();
  EXPECT_EQ(std::memcmp(held.data(), &config, 64), 0);
  Bytes of_another_thread{};
  std::thread([&] { of_another_thread = held_config(); }).join();
  EXPECT_EQ(of_another_thread, Bytes{});
  _tile_release();
  EXPECT_EQ(held_config(), Bytes{});
}

TEST_F(Amx, RefusesConfigurationsThatAreNotValid) {
  std::vector<Config> refused(8, config_of(4, 4, 4));
  refused[0].palette = 2;
  refused[1].reserved[13] = 1;
  refused[2].row_bytes[5] = 65;
  refused[3].rows[0] = 17;
  refused[4].rows[3] = 1;       // without row_bytes
  refused[5].row_bytes[3] = 4;  // without rows
  refused[6].row_bytes[8] = 4;  // there are eight tiles
  refused[7].rows[15] = 1;
  for (const Config& config : refused) {
    EXPECT_EXIT(_tile_loadconfig(&config), KilledBySignal(SIGSEGV), "");
  }
}

TEST_F(Amx, RefusesTilesThatAreNotConfiguredOrDoNotFit) {
  EXPECT_EXIT(_tile_zero(0), KilledBySignal(SIGILL), "");
  const auto with = [](const Config& config) { _tile_loadconfig(&config); };
  EXPECT_EXIT((with(config_of(4, 4, 4)), std::_Exit(7)), ExitedWithCode(7), "");
  const auto zero_another = [&] {
    with(config_of(4, 4, 4));
    _tile_zero(3);
  };
  EXPECT_EXIT(zero_another(), KilledBySignal(SIGILL), "");
  const auto square_itself = [&] {
    with(config_of(4, 4, 4));
    // tdpbssd %tmm1, %tmm1, %tmm0, which assemblers refuse too.
    __asm__ volatile(".byte 0xC4, 0xE2, 0x73, 0x5E, 0xC1");
  };
  EXPECT_EXIT(square_itself(), KilledBySignal(SIGILL), "");
  const auto misfit = [&] {
    Config config = config_of(4, 4, 4);
    config.rows[2] = 5;
    with(config);
    _tile_dpbssd(0, 1, 2);
  };
  EXPECT_EXIT(misfit(), KilledBySignal(SIGILL), "");
}

TEST_F(Amx, LeavesOtherIllegalInstructionsAlone) {
  EXPECT_EXIT(__asm__ volatile("ud2"), KilledBySignal(SIGILL), "");
}

TEST(AmxPermission, IsNeeded) {
  // In a process of its own, which has not asked.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto configure = [] {
    const Config config = config_of(4, 4, 4);
    _tile_loadconfig(&config);
    _tile_zero(0);
  };
  EXPECT_EXIT(configure(), KilledBySignal(SIGILL), "");
  ask_permission();
  std::uint64_t granted = 0;
  ASSERT_EQ(::syscall(SYS_arch_prctl, kGetPermission, &granted), 0);
  EXPECT_EQ(granted >> 17U & 3U, 3U);
  configure();
  _tile_release();
}

}  // namespace
}  // namespace gumbelspec::testing
