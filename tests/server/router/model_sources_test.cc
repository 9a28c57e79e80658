#include "apps/server/router/model_sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gumbelspec/error.h"

namespace gumbelspec::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

TEST(ModelFiles, AreThoseOfAFolderAndOfFoldersInIt) {
  const fs::path folder = fs::temp_directory_path() / ("model_files_" + std::to_string(::getpid()));
  for (const char* name :
       {"one.gguf", "two-Q4_K_M.GGUF.txt", "mmproj-one.gguf", "big-00001-of-00002.gguf",
        "big-00002-of-00002.gguf", "kimi/parts-00001-of-00003.gguf",
        "kimi/parts-00002-of-00003.gguf", "kimi/mmproj-F16.gguf", "several/x.gguf",
        "several/y.gguf", "deep/er/z.gguf"}) {
    fs::create_directories((folder / name).parent_path());
    std::ofstream(folder / name) << "x";
  }
  std::vector<std::string> names;
  for (const ModelFile& file : model_files(folder.string())) names.push_back(file.name);
  EXPECT_THAT(names, ElementsAre("big", "kimi", "one", "several/x", "several/y"));
  EXPECT_EQ(model_files(folder.string())[1].path,
            (folder / "kimi/parts-00001-of-00003.gguf").string());
  EXPECT_THROW((void)model_files((folder / "one.gguf").string()), Error);
  fs::remove_all(folder);
  EXPECT_THROW((void)model_files(folder.string()), Error);
}

TEST(Presets, AreSectionsOfKeysAndValues) {
  const auto presets = parse_presets(
      "version = 1\n; a comment\n\n[*]\r\nc = 4096 \n# another\n [ my/model:Q8 ] \n"
      "model=a=b.gguf\nno-ui =\n");
  ASSERT_EQ(presets.size(), 2U);
  EXPECT_EQ(presets[0].name, "*");
  using Pair = std::pair<std::string, std::string>;
  EXPECT_THAT(presets[0].values, ElementsAre(Pair("c", "4096")));
  EXPECT_EQ(presets[1].name, "my/model:Q8");
  EXPECT_THAT(presets[1].values, ElementsAre(Pair("model", "a=b.gguf"), Pair("no-ui", "")));
  EXPECT_TRUE(parse_presets("").empty());
}

TEST(Presets, TellTheLineThatIsWrong) {
  const auto why = [](const char* text) {
    try {
      (void)parse_presets(text);
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_THAT(why("\n[a\n"), HasSubstr("line 2"));
  EXPECT_THAT(why("[]"), HasSubstr("line 1"));
  EXPECT_THAT(why("["), HasSubstr("line 1"));
  EXPECT_THAT(why("[a]\nx\n"), HasSubstr("line 2"));
  EXPECT_THAT(why("[a]\n= 1\n"), HasSubstr("line 2"));
  EXPECT_THAT(why("[a]\n[b]\n[a]\n"), HasSubstr("line 3"));
  EXPECT_THAT(why("c = 1\n[a]\n"), HasSubstr("line 1"));
}

}  // namespace
}  // namespace gumbelspec::server
