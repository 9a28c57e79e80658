// The program and llama.cpp's libraries: its own, or none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "src/llama/loaded_library.h"
#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

std::string bytes_of(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

// A copy of the ggml that this process uses, which says to be another build.
void write_other_build(const internal::LoadedLibrary& library, const fs::path& file) {
  std::ifstream in(library.path, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(in)), {});
  const std::size_t id = content.find(bytes_of(library.build_id));
  ASSERT_NE(id, std::string::npos);
  content[id] = static_cast<char>(~content[id]);
  std::ofstream(file, std::ios::binary) << content;
}

TEST(Libraries, OfAnotherBuildAreRefusedInOneLine) {
  const auto library = internal::find_loaded_library("libggml-base.so");
  ASSERT_TRUE(library.has_value());
  if (library->build_id.empty()) GTEST_SKIP() << "this linker writes no build ids";
  const fs::path folder =
      fs::temp_directory_path() / ("gumbelspec-other-build-" + std::to_string(getpid()));
  fs::create_directory(folder);
  write_other_build(*library, folder / fs::path(library->path).filename());
  {
    const Variable path("LD_LIBRARY_PATH", folder.string());
    const ProcessResult result = generate({"-p", "The", "-n", "1"});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(n_lines(result.err), 1U) << result.err;
    EXPECT_THAT(result.err, HasSubstr("is not of the llama.cpp"));
    EXPECT_THAT(result.err, HasSubstr("unset LD_LIBRARY_PATH"));
  }
  fs::remove_all(folder);
}

TEST(Libraries, AVariantThatThisBuildDoesNotHaveIsRefusedInOneLine) {
  const Variable variant("GUMBELSPEC_CPU_VARIANT", "pentium\n");
  const ProcessResult result = generate({"-p", "The", "-n", "1"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(n_lines(result.err), 1U) << result.err;
  EXPECT_THAT(result.err, HasSubstr("GUMBELSPEC_CPU_VARIANT is \"pentium"));
  EXPECT_THAT(result.err, HasSubstr("unset it"));
}

TEST(Libraries, AnEmptyVariantIsNone) {
  const Variable variant("GUMBELSPEC_CPU_VARIANT", "");
  EXPECT_EQ(generate({"-p", "The", "-n", "1"}).exit_code, 0);
}

}  // namespace
}  // namespace gumbelspec::testing
