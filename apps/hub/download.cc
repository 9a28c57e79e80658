#include "apps/hub/download.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "apps/common/utf8_stream.h"
#include "apps/hub/cache.h"
#include "apps/hub/http.h"

extern "C" {
#include <sha256.h>
}

namespace gumbelspec::hub {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Attempts in a row that brought nothing.
constexpr int kMostFailures = 3;
constexpr std::chrono::seconds kRateOver{5};

[[noreturn]] void fail(const Download& what, const std::string& why) {
  throw Error(ErrorCode::file_not_found, apps::in_quotes(what.name) + " " + why);
}

void check_cancelled(const Settings& settings) {
  if (settings.is_cancelled && settings.is_cancelled()) throw Cancelled();
}

// The part of the file that is there, open and locked.
class Part {
 public:
  Part(const Download& what, const Settings& settings) : what_(what), path_(what.to) {
    path_ += ".incomplete";
    make_folder(path_.parent_path());
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail_to_write();
    bool was_told = false;
    while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) break;  // a file system without locks
      if (!was_told && settings.on_notice) {
        settings.on_notice("waiting for another process that fetches " + what.name);
      }
      was_told = true;
      check_cancelled(settings);
      std::this_thread::sleep_for(settings.pause);
    }
  }
  ~Part() { ::close(descriptor_); }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  [[nodiscard]] std::uint64_t size() const {
    struct stat status {};
    return ::fstat(descriptor_, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
  }
  // Another process may have finished the file while this one waited for it.
  [[nodiscard]] bool is_in_place() const {
    struct stat mine {};
    struct stat there {};
    return ::fstat(descriptor_, &mine) == 0 && ::stat(path_.c_str(), &there) == 0 &&
           mine.st_ino == there.st_ino;
  }
  void cut_to(std::uint64_t n) {
    if (size() == n) return;
    if (::ftruncate(descriptor_, static_cast<off_t>(n)) != 0) fail_to_write();
  }
  void append(std::string_view bytes) {
    if (::lseek(descriptor_, 0, SEEK_END) < 0) fail_to_write();
    while (!bytes.empty()) {
      const ssize_t n = ::write(descriptor_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_to_write();
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  [[nodiscard]] std::string sha256(const Settings& settings) const {
    sha256_t state;
    sha256_init(&state);
    std::vector<unsigned char> bytes(std::size_t{1} << 20U);
    off_t at = 0;
    for (;;) {
      check_cancelled(settings);
      const ssize_t n = ::pread(descriptor_, bytes.data(), bytes.size(), at);
      if (n < 0) fail_to_write();
      if (n == 0) break;
      sha256_update(&state, bytes.data(), static_cast<std::size_t>(n));
      at += n;
    }
    std::array<unsigned char, SHA256_DIGEST_SIZE> digest{};
    sha256_final(&state, digest.data());
    std::string text;
    for (const unsigned char byte : digest) {
      text += "0123456789abcdef"[byte >> 4U];
      text += "0123456789abcdef"[byte & 15U];
    }
    return text;
  }
  void remove() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  void put_in_place() {
    // Some file systems tell only now that the disk is full.
    if (::fsync(descriptor_) != 0 && errno != EINVAL) fail_to_write();
    std::error_code failure;
    fs::rename(path_, what_.to, failure);
    if (failure) fail(what_, "cannot be put into the cache: " + failure.message());
  }

 private:
  [[noreturn]] void fail_to_write() const {
    const int error = errno;
    const bool is_full = error == ENOSPC || error == EDQUOT;
    fail(what_, "cannot be written to " + apps::in_quotes(path_.parent_path().string()) + ": " +
                    std::generic_category().message(error) + "; " +
                    (is_full ? "free some space and run it again, it goes on from there"
                             : "check the folder, or give another with HF_HUB_CACHE"));
  }

  const Download& what_;
  fs::path path_;
  int descriptor_ = -1;
};

// Bytes per second over the last seconds.
class Rate {
 public:
  double add(std::uint64_t n_done) {
    const Clock::time_point now = Clock::now();
    seen_.emplace_back(now, n_done);
    while (seen_.size() > 2 && now - seen_.front().first > kRateOver) seen_.pop_front();
    const std::chrono::duration<double> seconds = now - seen_.front().first;
    if (seconds.count() <= 0.0) return 0.0;
    return static_cast<double>(n_done - seen_.front().second) / seconds.count();
  }

 private:
  std::deque<std::pair<Clock::time_point, std::uint64_t>> seen_;
};

class Attempts {
 public:
  Attempts(const Download& what, const Settings& settings)
      : what_(what), settings_(settings), n_total_(what.n_bytes), part_(what, settings) {}

  void run() {
    if (!part_.is_in_place() && fs::exists(what_.to)) return;
    if (n_total_ > 0 && part_.size() > n_total_) part_.cut_to(0);
    int n_failures = 0;
    bool has_restarted = false;
    while (n_total_ == 0 || part_.size() < n_total_) {
      const std::uint64_t n_before = part_.size();
      const Response response = attempt();
      if (response.status == 416 && !has_restarted) {
        // What is there is of another file.
        has_restarted = true;
        part_.cut_to(0);
        continue;
      }
      if (response.status != 0 && !response.is_ok()) {
        throw refusal(apps::in_quotes(what_.name), response, settings_);
      }
      // Whatever its length: check() tells.
      if (response.is_ok() && response.failure.empty() && !has_misfit_) break;
      n_failures = part_.size() > n_before ? 0 : n_failures + 1;
      if (n_failures == kMostFailures) give_up(response);
      std::this_thread::sleep_for(settings_.pause * n_failures);
    }
    check();
    part_.put_in_place();
  }

 private:
  Response attempt() {
    Receiver receiver;
    receiver.from = part_.size();
    receiver.begin = [&](const Response& response) {
      // A server that does not take up again begins at the beginning.
      const bool goes_on = response.status == 206 && response.n_before == receiver.from;
      if (!goes_on) part_.cut_to(0);
      has_misfit_ = response.status == 206 && !goes_on;
      if (has_misfit_) return false;
      if (n_total_ == 0) n_total_ = response.n_total;
      check_space();
      return true;
    };
    receiver.receive = [&](std::string_view bytes) {
      part_.append(bytes);
      n_done_ = part_.size();
      if (n_total_ > 0 && n_done_ > n_total_) return false;
      if (settings_.on_progress) {
        settings_.on_progress({what_.name, n_done_, n_total_, rate_.add(n_done_)});
      }
      return true;
    };
    return get(what_.url, settings_, &receiver);
  }

  void check_space() const {
    std::error_code failure;
    const fs::space_info space = fs::space(what_.to.parent_path(), failure);
    if (failure || n_total_ <= part_.size()) return;
    const std::uint64_t n_more = n_total_ - part_.size();
    if (n_more <= space.available) return;
    fail(what_, "needs " + std::to_string(n_more >> 20U) + " MiB more in " +
                    apps::in_quotes(what_.to.parent_path().string()) + ", which has " +
                    std::to_string(space.available >> 20U) +
                    " MiB left; free some space, or give another folder with HF_HUB_CACHE");
  }

  [[noreturn]] void give_up(const Response& response) const {
    fail(what_, "could not be fetched: " +
                    (response.failure.empty() ? std::string("the connection ended early")
                                              : response.failure) +
                    " after " + std::to_string(part_.size()) + " of " +
                    (n_total_ == 0 ? "unknown" : std::to_string(n_total_)) +
                    " bytes; run it again, it goes on from there");
  }

  void check() {
    if (n_total_ > 0 && part_.size() != n_total_) {
      const std::string n = std::to_string(part_.size());
      part_.remove();
      fail(what_, "has " + n + " bytes, but the hub says " + std::to_string(n_total_) +
                      "; it was removed, run it again");
    }
    if (what_.sha256.empty()) return;
    const std::string sum = part_.sha256(settings_);
    if (sum == what_.sha256) return;
    part_.remove();
    fail(what_, "has the checksum " + sum + ", but the hub says " + what_.sha256 +
                    "; it was removed, run it again");
  }

  const Download& what_;
  const Settings& settings_;
  std::uint64_t n_total_;
  std::uint64_t n_done_ = 0;
  bool has_misfit_ = false;  // the server gave another part than was asked for
  Rate rate_;
  Part part_;
};

}  // namespace

void download(const Download& what, const Settings& settings) {
  std::error_code failure;
  if (fs::exists(what.to, failure)) return;
  Attempts(what, settings).run();
}

}  // namespace gumbelspec::hub
