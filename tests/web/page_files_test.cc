#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "apps/server/http/static_files.h"

namespace gumbelspec::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string contents(const std::string& name) {
  std::ifstream file(std::string(GUMBELSPEC_PAGE_DIR) + "/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string name_of(const StaticFile& file) {
  return file.path == "/" ? "index.html" : std::string(file.path.substr(1));
}

TEST(PageFiles, AreThoseOfTheRepositoryByteForByte) {
  ASSERT_FALSE(static_files().empty());
  for (const StaticFile& file : static_files()) {
    EXPECT_FALSE(file.bytes.empty()) << file.path;
    EXPECT_TRUE(file.bytes == contents(name_of(file))) << file.path;
  }
}

TEST(PageFiles, AreCompressedWithoutADate) {
  const std::string begin("\x1f\x8b\x08\x00\x00\x00\x00\x00", 8);
  for (const StaticFile& file : static_files()) {
    EXPECT_EQ(file.gzip.substr(0, 8), begin) << file.path;
    EXPECT_LT(file.gzip.size(), file.bytes.size()) << file.path;
  }
}

TEST(PageFiles, TogetherAreLessThan300KilobytesTransferred) {
  std::size_t n_bytes = 0;
  for (const StaticFile& file : static_files()) n_bytes += file.gzip.size();
  EXPECT_LT(n_bytes, 300'000U);
}

TEST(PageFiles, OfThePageAreAllThere) {
  const std::string page(find_static_file("/")->bytes);
  for (const char* name : {"app.js", "app.css", "icon.svg"}) {
    EXPECT_THAT(page, HasSubstr("\"./" + std::string(name) + "\""));
    EXPECT_NE(find_static_file("/" + std::string(name)), nullptr);
  }
  EXPECT_EQ(find_static_file("/index.html.map"), nullptr);
}

TEST(PageFiles, RunNothingInline) {
  const std::string page(find_static_file("/")->bytes);
  EXPECT_THAT(page, Not(HasSubstr("<style")));
  EXPECT_THAT(page, Not(HasSubstr("http")));
  EXPECT_THAT(std::string(kContentSecurityPolicy), Not(HasSubstr("unsafe")));
}

TEST(PageFiles, GoCompressedToThoseWhoTakeIt) {
  EXPECT_TRUE(accepts_gzip("gzip, deflate, br"));
  EXPECT_TRUE(accepts_gzip("br;q=1, gzip;q=0.5"));
  EXPECT_FALSE(accepts_gzip(""));
  EXPECT_FALSE(accepts_gzip("br"));
  EXPECT_FALSE(accepts_gzip("gzip;q=0, br;q=1"));
  EXPECT_FALSE(accepts_gzip("gzip;q=0.0"));
}

}  // namespace
}  // namespace gumbelspec::server
