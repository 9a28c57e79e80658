#include "src/llama/backends.h"

#include <gtest/gtest.h>

#include <string>

#include "llama_libraries.h"
#include "src/llama/loaded_library.h"

namespace gumbelspec::internal {
namespace {

// llama_libraries.h was written with readelf.
TEST(LoadedLibrary, IsFoundWithTheBuildIdThatReadelfSees) {
  for (const LibraryBuild& expected : kLlamaLibraries) {
    const auto found = find_loaded_library(expected.name);
    // A program need not use all of them.
    if (!found) continue;
    EXPECT_EQ(found->build_id, expected.build_id) << expected.name;
  }
  EXPECT_TRUE(find_loaded_library("libllama.so").has_value());
}

TEST(LoadedLibrary, IsNotTakenForOneWhoseNameBeginsAlike) {
  EXPECT_FALSE(find_loaded_library("libggml-bas").has_value());
  EXPECT_FALSE(find_loaded_library("llama.so").has_value());
  EXPECT_FALSE(find_loaded_library("libllama.so.0.0.0.0").has_value());
}

TEST(Backends, AVariantIsChosenWhereThereAreSome) {
  EXPECT_EQ(cpu_variant().empty(), kBackendModules.empty());
}

TEST(Backends, RegistersOfEveryX86ProcessorAreThere) {
  EXPECT_TRUE(has_registers_for("x64"));
  EXPECT_TRUE(has_registers_for("sse42"));
}

}  // namespace
}  // namespace gumbelspec::internal
