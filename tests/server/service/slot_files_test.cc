#include "apps/server/service/slot_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "apps/server/api/api_error.h"

namespace gumbelspec::server {
namespace {

class SlotFilesTest : public ::testing::Test {
 protected:
  SlotFilesTest() {
    folder_ = std::filesystem::temp_directory_path() /
              ("slot_files_" + std::to_string(::getpid()) + "_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  ~SlotFilesTest() override { std::filesystem::remove_all(folder_); }

  std::string refusal(const SlotFiles& files, const std::string& name) const {
    std::size_t n = 0;
    try {
      (void)files.read(name, n);
    } catch (const ApiError& error) {
      return std::to_string(error.status()) + " " + error.what();
    }
    return "";
  }
  [[nodiscard]] std::string bytes(const std::string& name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }

  std::filesystem::path folder_;
  const SlotState state_{{token_id(5), token_id(70000)}, {1, 2, 3, 250}};
};

TEST_F(SlotFilesTest, GiveBackWhatWasWritten) {
  const SlotFiles files(folder_.string(), "a model");
  const std::size_t n_written = files.write("one.bin", state_);
  EXPECT_EQ(n_written, std::filesystem::file_size(folder_ / "one.bin"));
  std::size_t n_read = 0;
  const SlotState back = files.read("one.bin", n_read);
  EXPECT_EQ(back.tokens, state_.tokens);
  EXPECT_EQ(back.state, state_.state);
  EXPECT_EQ(n_read, n_written);
  (void)files.write("one.bin", {});
  EXPECT_TRUE(files.read("one.bin", n_read).tokens.empty());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1) << "nothing begun";
}

TEST_F(SlotFilesTest, RefuseEveryDamage) {
  const SlotFiles files(folder_.string(), "a model");
  (void)files.write("one.bin", state_);
  const std::string whole = bytes("one.bin");
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string wrong = whole;
    wrong[i] = static_cast<char>(wrong[i] ^ 1);
    put("wrong.bin", wrong);
    EXPECT_EQ(refusal(files, "wrong.bin").substr(0, 3), "400") << "byte " << i;
    put("wrong.bin", whole.substr(0, i));
    EXPECT_EQ(refusal(files, "wrong.bin").substr(0, 3), "400") << "cut at " << i;
  }
  put("wrong.bin", whole + "x");
  EXPECT_NE(refusal(files, "wrong.bin").find("damaged"), std::string::npos);
}

TEST_F(SlotFilesTest, RefuseAnotherModels) {
  (void)SlotFiles(folder_.string(), "a model").write("one.bin", state_);
  const std::string why = refusal(SlotFiles(folder_.string(), "another"), "one.bin");
  EXPECT_NE(why.find("a model"), std::string::npos) << why;
  EXPECT_NE(why.find("another"), std::string::npos) << why;
}

TEST_F(SlotFilesTest, StayInTheirFolder) {
  const SlotFiles files((folder_ / "inner").string(), "a model");
  std::filesystem::create_directory(folder_ / "inner");
  (void)SlotFiles(folder_.string(), "a model").write("outside.bin", state_);
  std::filesystem::create_symlink(folder_ / "outside.bin", folder_ / "inner" / "link.bin");
  for (const std::string& name :
       {std::string("../outside.bin"), (folder_ / "outside.bin").string(), std::string("link.bin"),
        std::string(".hidden"), std::string(""), std::string("a\nb"), std::string("a b"),
        std::string(129, 'a'), std::string("nul\0byte", 8), std::string("none.bin")}) {
    EXPECT_EQ(refusal(files, name).substr(0, 3), "400") << name;
    if (name != "none.bin" && name != "link.bin") {
      EXPECT_THROW((void)files.write(name, state_), ApiError) << name;
    }
  }
}

TEST_F(SlotFilesTest, NeedAFolder) {
  EXPECT_EQ(refusal(SlotFiles("", "a model"), "one.bin").substr(0, 3), "501");
}

}  // namespace
}  // namespace gumbelspec::server
