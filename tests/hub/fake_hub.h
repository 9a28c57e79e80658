// A model hub on loopback, whose answers can be as wrong as one likes.
#ifndef GUMBELSPEC_TESTS_HUB_FAKE_HUB_H_
#define GUMBELSPEC_TESTS_HUB_FAKE_HUB_H_

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "apps/hub/hub.h"

namespace httplib {
class Server;
}  // namespace httplib

namespace gumbelspec::hub::testing {

struct Request {
  std::string path;
  std::string token;  // of its Authorization header
  std::string range;
};

// Has the repository "user/model" with these files, all of them large ones (LFS), whose blobs come
// from another address, as on the real hub.
class FakeHub {
 public:
  explicit FakeHub(std::map<std::string, std::string> files);
  ~FakeHub();
  FakeHub(const FakeHub&) = delete;
  FakeHub& operator=(const FakeHub&) = delete;

  [[nodiscard]] Settings settings() const;  // with an empty cache of its own
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] std::vector<Request> requests() const;
  [[nodiscard]] std::size_t n_requests(const std::string& beginning) const;
  [[nodiscard]] std::string url() const;      // ends in /
  [[nodiscard]] std::string cdn_url() const;  // the other address

  // What is to go wrong.
  std::atomic<int> api_status{200};
  std::atomic<int> file_status{200};
  std::atomic<int> cuts{0};  // so many transfers end in the middle
  std::atomic<bool> ignores_ranges{false};
  std::atomic<bool> stalls{false};  // bytes come no more after the first ones
  std::atomic<bool> redirects_forever{false};
  std::atomic<std::uint64_t> size_told_more{0};  // bytes that the list of files has too many
  std::atomic<bool> has_wrong_sums{false};
  std::atomic<bool> is_not_json{false};
  std::atomic<bool> needs_token{false};

 private:
  void set_up();
  void set_up_files(httplib::Server& server);

  std::map<std::string, std::string> files_;
  std::filesystem::path folder_;
  std::unique_ptr<httplib::Server> api_;
  std::unique_ptr<httplib::Server> cdn_;
  int api_port_ = 0;
  int cdn_port_ = 0;
  std::vector<std::thread> threads_;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;
};

[[nodiscard]] std::string sha256_of(const std::string& bytes);
[[nodiscard]] std::string content_of(const std::filesystem::path& path);

inline constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

}  // namespace gumbelspec::hub::testing

#endif  // GUMBELSPEC_TESTS_HUB_FAKE_HUB_H_
