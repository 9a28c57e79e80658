// What a processor lacks of what llama.cpp was built for; on processors made up here, and, where
// qemu-x86_64 is installed, the whole program on a lesser one.
#include "src/llama/processor_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using internal::CpuidRegisters;
using internal::missing_instruction_sets;
using internal::Processor;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::uint64_t kAllStates = ~std::uint64_t{0};

CpuidRegisters nothing(std::uint32_t, std::uint32_t) { return {}; }
CpuidRegisters everything(std::uint32_t, std::uint32_t) { return {~0U, ~0U, ~0U, ~0U}; }
// Haswell's: all of the leaves but what is AVX-512 or AVX-VNNI.
CpuidRegisters haswell(std::uint32_t leaf, std::uint32_t subleaf) {
  if (leaf == 7)
    return subleaf == 0 ? CpuidRegisters{0, 1U << 3 | 1U << 5 | 1U << 8, 0, 0} : CpuidRegisters{};
  return everything(leaf, subleaf);
}

std::string missing(const char* needed, const Processor& processor, std::size_t size = 512) {
  std::string out(size, 'x');
  const std::size_t n = missing_instruction_sets(needed, processor, out.data(), size);
  EXPECT_EQ(out[n], '\0');
  out.resize(n);
  return out;
}

TEST(ProcessorCheck, NamesWhatIsMissing) {
  EXPECT_EQ(missing("SSE2 SSE4_2 AVX2 FMA", {nothing, kAllStates}), "SSE4.2, FMA, AVX2");
  EXPECT_EQ(missing("SSE4_2 AVX2 BMI2 AVX512VNNI AVXVNNI", {haswell, kAllStates}),
            "AVX-VNNI, AVX-512 VNNI");
  EXPECT_EQ(missing("SSE4_2 AVX2 AVX512F AVX512BF16", {everything, kAllStates}), "");
  EXPECT_EQ(missing("", {nothing, 0}), "");
}

TEST(ProcessorCheck, DoesNotTakeANameForALongerOne) {
  EXPECT_EQ(missing("AVX512VBMI2 BMI2", {nothing, 0}), "BMI2, AVX-512 VBMI2");
  EXPECT_EQ(missing("AVX512VBMI", {nothing, 0}), "AVX-512 VBMI");
}

TEST(ProcessorCheck, NeedsASystemThatSavesTheRegisters) {
  EXPECT_EQ(missing("SSE4_2 AVX AVX512F", {everything, 0}), "AVX, AVX-512 F");
  EXPECT_EQ(missing("SSE4_2 AVX AVX512F", {everything, 6}), "AVX-512 F");
}

TEST(ProcessorCheck, CutsWhatDoesNotFit) {
  EXPECT_EQ(missing("SSE4_2 AVX2", {nothing, 0}, 8), "SSE4.2,");
  EXPECT_EQ(missing("SSE4_2 AVX2", {nothing, 0}, 1), "");
}

TEST(ProcessorCheck, FindsNothingMissingOnTheProcessorThatBuilt) {
  char out[512];
  EXPECT_EQ(missing_instruction_sets(out, sizeof out), 0U) << out;
}

// All that link the library, this one among them.
TEST(ProcessorCheck, EndsEveryProgramWithOneLineOnALesserProcessor) {
  if (std::system("qemu-x86_64 -version >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "qemu-x86_64 is not installed (Debian's qemu-user)";
  }
  if (missing(GUMBELSPEC_LLAMA_NEEDS, {nothing, 0}).find("AVX2") == std::string::npos) {
    GTEST_SKIP() << "llama.cpp was not built for more than every x86-64 processor has";
  }
  const std::vector<std::string> programs = {
      GUMBELSPEC_PROGRAM, GUMBELSPEC_SCALE_PROGRAM, GUMBELSPEC_RPC_SERVER,
      std::filesystem::read_symlink("/proc/self/exe").string()};
  for (const std::string& path : programs) {
    if (path.empty()) continue;  // not built
    SCOPED_TRACE(path);
    Process program("qemu-x86_64", {"-cpu", "Nehalem", path, "--help"});
    const ProcessResult result = program.finish();
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(n_lines(result.err), 1U) << result.err;
    EXPECT_THAT(result.err, StartsWith("gumbelspec: this processor has no "));
    EXPECT_THAT(result.err, HasSubstr("AVX2"));
  }
}

}  // namespace
}  // namespace gumbelspec::testing
