#include "apps/server/service/slot_files.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/server/api/api_error.h"

namespace gumbelspec::server {
namespace {

// The file: this, the checksum of what follows, the identity, the tokens, the state; lengths before
// each. In the machine's order of bytes, like llama.cpp's states.
constexpr std::string_view kMagic = "gumbelspec slot 1\n";
constexpr std::size_t kMostNameBytes = 128;

// FNV-1a, over words; against files that are cut off or damaged, not against forgers.
std::uint64_t checksum(const char* bytes, std::size_t n) {
  std::uint64_t sum = 14695981039346656037U;
  const auto mix = [&](std::uint64_t word) { sum = (sum ^ word) * 1099511628211U; };
  std::size_t i = 0;
  for (; i + sizeof(std::uint64_t) <= n; i += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + i, sizeof(word));
    mix(word);
  }
  for (; i < n; ++i) mix(static_cast<unsigned char>(bytes[i]));
  mix(n);
  return sum;
}

void put(std::vector<char>& out, const void* bytes, std::uint64_t n) {
  const auto append = [&out](const void* from, std::size_t count) {
    const char* begin = static_cast<const char*>(from);
    out.insert(out.end(), begin, begin + count);
  };
  append(&n, sizeof(n));
  append(bytes, n);
}

// The next part of a file. Returns: whether it is there.
bool take(std::string_view& rest, std::string_view& part) {
  std::uint64_t n = 0;
  if (rest.size() < sizeof(n)) return false;
  std::memcpy(&n, rest.data(), sizeof(n));
  rest.remove_prefix(sizeof(n));
  if (rest.size() < n) return false;
  part = rest.substr(0, n);
  rest.remove_prefix(n);
  return true;
}

ApiError refused(const std::string& why) { return bad_request(why, "filename", "invalid_value"); }

}  // namespace

SlotFiles::SlotFiles(std::string folder, std::string identity)
    : folder_(std::move(folder)), identity_(std::move(identity)) {}

std::string SlotFiles::path_of(const std::string& name) const {
  if (folder_.empty()) {
    throw ApiError(501, "not_supported_error",
                   "this server keeps no slots in files; start it with --slot-save-path FOLDER", "",
                   "unsupported");
  }
  const bool is_plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
  if (name.empty() || name.size() > kMostNameBytes || name.front() == '.' || !is_plain) {
    throw refused(
        "filename is not one of 1 to 128 letters, digits, dots, - and _, the first no dot; it "
        "names a file in --slot-save-path");
  }
  return (std::filesystem::path(folder_) / name).string();
}

std::size_t SlotFiles::write(const std::string& name, const SlotState& state) const {
  const std::string path = path_of(name);
  std::vector<char> body;
  body.reserve(state.state.size() + state.tokens.size() * sizeof(TokenId) + identity_.size() + 64);
  put(body, identity_.data(), identity_.size());
  put(body, state.tokens.data(), state.tokens.size() * sizeof(TokenId));
  put(body, state.state.data(), state.state.size());
  const std::uint64_t sum = checksum(body.data(), body.size());
  // Under another name until it is whole.
  const std::string begun = path + ".new-" + std::to_string(::getpid());
  std::error_code failure;
  {
    std::ofstream file(begun, std::ios::binary | std::ios::trunc);
    file.write(kMagic.data(), static_cast<std::streamsize>(kMagic.size()));
    file.write(reinterpret_cast<const char*>(&sum), sizeof(sum));
    file.write(body.data(), static_cast<std::streamsize>(body.size()));
    file.close();
    if (!file) failure = std::make_error_code(std::errc::io_error);
  }
  if (!failure) std::filesystem::rename(begun, path, failure);
  if (failure) {
    std::error_code ignored;
    std::filesystem::remove(begun, ignored);
    throw ApiError(500, "server_error",
                   "the slot could not be written to --slot-save-path (" + failure.message() +
                       "); is there room, and may the server write there?",
                   "filename", "write_failed");
  }
  return kMagic.size() + sizeof(sum) + body.size();
}

SlotState SlotFiles::read(const std::string& name, std::size_t& n_bytes) const {
  const std::string path = path_of(name);
  std::error_code failure;
  // No link out of the folder either.
  if (std::filesystem::symlink_status(path, failure).type() !=
      std::filesystem::file_type::regular) {
    throw refused("there is no file of that name in --slot-save-path; save a slot first");
  }
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::string_view rest = bytes;
  std::uint64_t sum = 0;
  const bool has_head =
      rest.substr(0, kMagic.size()) == kMagic && rest.size() >= kMagic.size() + sizeof(sum);
  if (!has_head) throw refused("the file is not one that this server has written; save it anew");
  rest.remove_prefix(kMagic.size());
  std::memcpy(&sum, rest.data(), sizeof(sum));
  rest.remove_prefix(sizeof(sum));
  std::string_view identity;
  std::string_view tokens;
  std::string_view state;
  const bool is_whole = checksum(rest.data(), rest.size()) == sum && take(rest, identity) &&
                        take(rest, tokens) && take(rest, state) && rest.empty() &&
                        tokens.size() % sizeof(TokenId) == 0;
  if (!is_whole) throw refused("the file is damaged; save it anew");
  if (identity != identity_) {
    throw refused("the file is another model's (" + std::string(identity.substr(0, 200)) +
                  ", and this is " + identity_ + "); save it anew");
  }
  SlotState out;
  out.tokens.resize(tokens.size() / sizeof(TokenId));
  if (!tokens.empty()) std::memcpy(out.tokens.data(), tokens.data(), tokens.size());
  out.state.assign(state.begin(), state.end());
  n_bytes = bytes.size();
  return out;
}

}  // namespace gumbelspec::server
