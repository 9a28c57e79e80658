// Transfers, and everything that goes wrong with them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/hub/fake_hub.h"

namespace gumbelspec::hub::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string bytes_of(std::size_t n) {
  std::string bytes(n, '\0');
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<char>(i * 2654435761U >> 13U);
  return bytes;
}

class HubDownload : public ::testing::Test {
 protected:
  std::string fetch_it() { return fetch(parse_name("user/model"), "", settings_); }
  std::string failure() {
    try {
      (void)fetch_it();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::file_not_found);
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    ADD_FAILURE() << "it did not fail";
    return {};
  }
  [[nodiscard]] fs::path part() const {
    return hub_.folder() / "hub/models--user--model/blobs" / (sha256_of(bytes_) + ".incomplete");
  }

  std::string bytes_ = bytes_of(300'000);
  FakeHub hub_{{{"m-Q8_0.gguf", bytes_}}};
  Settings settings_ = hub_.settings();
};

TEST_F(HubDownload, GoesOnWhereAConnectionBroke) {
  hub_.cuts = 2;
  EXPECT_EQ(content_of(fetch_it()), bytes_);
  std::size_t n_resumed = 0;
  for (const Request& request : hub_.requests()) {
    if (request.path.rfind("/blob/", 0) == 0 && !request.range.empty()) ++n_resumed;
  }
  EXPECT_EQ(n_resumed, 2U);
}

TEST_F(HubDownload, GoesOnWhereAnEarlierRunStopped) {
  fs::create_directories(part().parent_path());
  { std::ofstream(part(), std::ios::binary) << bytes_.substr(0, 100'000); }
  EXPECT_EQ(content_of(fetch_it()), bytes_);
  const auto requests = hub_.requests();
  EXPECT_EQ(requests.back().range, "bytes=100000-");
}

TEST_F(HubDownload, BeginsAnewWhereAServerKnowsNoParts) {
  fs::create_directories(part().parent_path());
  { std::ofstream(part(), std::ios::binary) << bytes_.substr(0, 100'000); }
  hub_.ignores_ranges = true;
  EXPECT_EQ(content_of(fetch_it()), bytes_);
}

TEST_F(HubDownload, AWrongPartIsFoundByTheSumAndRemoved) {
  fs::create_directories(part().parent_path());
  { std::ofstream(part(), std::ios::binary) << std::string(100'000, 'x'); }
  EXPECT_THAT(failure(), HasSubstr("but the hub says " + sha256_of(bytes_)));
  EXPECT_FALSE(fs::exists(part()));
  EXPECT_EQ(content_of(fetch_it()), bytes_);
}

TEST_F(HubDownload, GivesUpOnConnectionsThatBringNothing) {
  hub_.file_status = 500;
  EXPECT_THAT(failure(), HasSubstr("is refused (HTTP 500); try again later"));
}

TEST_F(HubDownload, AFileThatIsShorterThanTold) {
  hub_.size_told_more = 10;
  EXPECT_THAT(failure(), HasSubstr("has 300000 bytes, but the hub says 300010; it was removed"));
  EXPECT_FALSE(fs::exists(part()));
}

TEST_F(HubDownload, AWrongSum) {
  hub_.has_wrong_sums = true;
  EXPECT_THAT(failure(), HasSubstr("has the checksum " + sha256_of(bytes_)));
}

TEST_F(HubDownload, AServerThatFallsSilent) {
  hub_.stalls = true;
  settings_.timeout = std::chrono::milliseconds(150);
  EXPECT_THAT(failure(), HasSubstr("could not be fetched"));
  EXPECT_TRUE(fs::exists(part()));
  hub_.stalls = false;
}

TEST_F(HubDownload, AUserWhoStops) {
  hub_.cuts = 1;
  bool has_begun = false;
  settings_.on_progress = [&](const Transfer&) { has_begun = true; };
  settings_.is_cancelled = [&] { return has_begun; };
  EXPECT_THROW((void)fetch_it(), Cancelled);
  settings_.is_cancelled = {};
  EXPECT_EQ(content_of(fetch_it()), bytes_);
}

TEST_F(HubDownload, TellsHowFarItIs) {
  Transfer last;
  settings_.on_progress = [&](const Transfer& transfer) {
    EXPECT_GE(transfer.n_done, last.n_done);
    last = transfer;
  };
  (void)fetch_it();
  EXPECT_EQ(last.n_done, bytes_.size());
  EXPECT_EQ(last.n_total, bytes_.size());
  EXPECT_EQ(last.name, "m-Q8_0.gguf");
}

TEST_F(HubDownload, ADiskThatIsFull) {
  // A file system of this test's own needs a name space; a file that takes nothing does not.
  settings_.cache = "/dev/full/hub";
  EXPECT_THAT(failure(), HasSubstr("cannot be written"));
  settings_ = hub_.settings();
  fs::create_directories(part().parent_path());
  fs::create_symlink("/dev/full", part());
  EXPECT_THAT(failure(), HasSubstr("No space left on device; free some space and run it again"));
}

TEST_F(HubDownload, OneThatCannotFit) {
  // An exbibyte.
  hub_.size_told_more = std::uint64_t{1} << 60U;
  EXPECT_THAT(failure(), HasSubstr("MiB left; free some space, or give another folder"));
}

}  // namespace
}  // namespace gumbelspec::hub::testing
