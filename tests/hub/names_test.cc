#include "apps/hub/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/hub/hub.h"

namespace gumbelspec::hub {
namespace {

using ::testing::ElementsAre;

TEST(HubNames, ARepositoryAndAQuant) {
  EXPECT_EQ(parse_name("Qwen/Qwen3-8B-GGUF").repo, "Qwen/Qwen3-8B-GGUF");
  EXPECT_EQ(parse_name("Qwen/Qwen3-8B-GGUF").quant, "");
  EXPECT_EQ(parse_name("a/b.c_d:Q4_K_M").quant, "Q4_K_M");
  for (const char* bad : {"", "a", "a/", "/b", "a/b/c", "a/../b", "a/b:", "a/b:x/y", "a b/c",
                          "../a", "a/b\n", "a//b", "a/.b", "a/b-"}) {
    EXPECT_THROW((void)parse_name(bad), Error) << bad;
  }
}

TEST(HubNames, FilesAndParts) {
  const FileName whole = read_file_name("dir/model-q4_k_m.gguf");
  EXPECT_EQ(whole.quant, "Q4_K_M");
  EXPECT_TRUE(whole.is_model);
  const FileName part = read_file_name("BF16/m-BF16-00002-of-00003.gguf");
  EXPECT_EQ(part.stem, "BF16/m-BF16");
  EXPECT_EQ(part.quant, "BF16");
  EXPECT_EQ(part.part, 2);
  EXPECT_EQ(part.n_parts, 3);
  EXPECT_FALSE(read_file_name("mmproj-model-f16.gguf").is_model);
  EXPECT_FALSE(read_file_name("README.md").is_model);
}

TEST(HubNames, TheUsualQuantIsChosen) {
  const std::vector<std::string> paths = {"README.md", "mmproj-Q4_K_M.gguf", "m-F16.gguf",
                                          "m-Q8_0.gguf", "m-Q4_K_M.gguf"};
  EXPECT_EQ(choose_file(paths, ""), 4);
  EXPECT_EQ(choose_file(paths, "q8_0"), 3);
  EXPECT_EQ(choose_file(paths, "Q5_0"), -1);
  EXPECT_EQ(choose_file({"x.gguf", "m-Q8_0.gguf"}, ""), 1);
  EXPECT_EQ(choose_file({"x.gguf"}, ""), 0);
  EXPECT_EQ(choose_file({"README.md"}, ""), -1);
  EXPECT_EQ(listed_quants(paths), "F16, Q8_0, Q4_K_M");
}

TEST(HubNames, PartsComeInTheirOrder) {
  const std::vector<std::string> paths = {
      "m-Q8_0-00002-of-00002.gguf", "m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00001-of-00003.gguf"};
  EXPECT_EQ(choose_file(paths, "Q8_0"), 1);
  EXPECT_THAT(parts_of(paths, 1), ElementsAre(1, 0));
}

TEST(HubNames, DraftsOfFamilies) {
  EXPECT_EQ(known_draft("Qwen/Qwen3-8B-GGUF:Q4_K_M").name, "Qwen/Qwen3-0.6B-GGUF:Q8_0");
  EXPECT_EQ(known_draft("/models/Meta-Llama-3.1-70B-Instruct-Q4_K_M.gguf").name,
            "bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0");
  // The draft itself has none.
  EXPECT_EQ(known_draft("Qwen/Qwen3-0.6B-GGUF").name, "");
  EXPECT_EQ(known_draft("someone/else").name, "");
}

}  // namespace
}  // namespace gumbelspec::hub
