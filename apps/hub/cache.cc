#include "apps/hub/cache.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <string_view>
#include <system_error>

#include "apps/common/utf8_stream.h"
#include "apps/hub/names.h"

namespace gumbelspec::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFolder = "models--";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

fs::path home() {
  if (const std::string value = variable("HOME"); !value.empty()) return value;
  const passwd* user = ::getpwuid(::getuid());
  return user == nullptr || user->pw_dir == nullptr ? fs::path("/") : fs::path(user->pw_dir);
}

fs::path cache_home() {
  const std::string value = variable("XDG_CACHE_HOME");
  return value.empty() ? home() / ".cache" : fs::path(value);
}

fs::path hub_home() {
  const std::string value = variable("HF_HOME");
  return value.empty() ? cache_home() / "huggingface" : fs::path(value);
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
  return line;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

[[noreturn]] void fail(const fs::path& path, const std::error_code& why) {
  throw Error(ErrorCode::file_not_found,
              "the cache " + apps::in_quotes(path.string()) + " cannot be written: " +
                  why.message() + "; check it, or give another folder with HF_HUB_CACHE");
}

std::uint64_t size_of(const fs::path& path) {
  std::error_code failure;
  const auto n = fs::file_size(path, failure);
  return failure ? 0 : n;
}

}  // namespace

Settings settings_of_environment() {
  Settings settings;
  settings.endpoint = variable("HF_ENDPOINT");
  if (settings.endpoint.empty()) settings.endpoint = "https://huggingface.co";
  if (settings.endpoint.back() != '/') settings.endpoint += '/';
  settings.token = variable("HF_TOKEN");
  if (settings.token.empty()) settings.token = first_line(hub_home() / "token");
  settings.cache = (hub_home() / "hub").string();
  for (const char* name : {"HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE", "LLAMA_CACHE"}) {
    if (const std::string folder = variable(name); !folder.empty()) settings.cache = folder;
  }
  settings.url_cache = (cache_home() / "gumbelspec" / "models").string();
  return settings;
}

fs::path repo_folder(const Settings& settings, const std::string& repo) {
  return fs::path(settings.cache) / (std::string(kFolder) + replaced(repo, "/", "--"));
}

std::string cached_commit(const fs::path& repo) {
  std::string commit = first_line(repo / "refs" / "main");
  std::error_code failure;
  for (fs::directory_iterator at(repo / "refs", failure), end; commit.empty() && at != end; ++at) {
    commit = first_line(at->path());
  }
  // It becomes a part of a path.
  const bool is_hex = std::all_of(commit.begin(), commit.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  return is_hex ? commit : std::string();
}

std::vector<std::string> cached_files(const fs::path& repo) {
  std::vector<std::string> files;
  const std::string commit = cached_commit(repo);
  if (commit.empty()) return files;
  const fs::path snapshot = repo / "snapshots" / commit;
  std::error_code failure;
  for (fs::recursive_directory_iterator at(snapshot, failure), end; at != end;
       at.increment(failure)) {
    if (failure) break;
    if (!fs::is_regular_file(at->path(), failure)) continue;  // follows links
    files.push_back(at->path().lexically_relative(snapshot).generic_string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void make_folder(const fs::path& path) {
  std::error_code failure;
  fs::create_directories(path, failure);
  if (failure) fail(path, failure);
}

void link_blob(const fs::path& blob, const fs::path& link) {
  std::error_code failure;
  if (fs::exists(link, failure)) return;
  make_folder(link.parent_path());
  fs::remove(link, failure);  // one whose blob has gone
  const fs::path target = blob.lexically_relative(link.parent_path());
  fs::create_symlink(target, link, failure);
  if (failure && !fs::exists(link)) fs::rename(blob, link, failure);
  if (failure && !fs::exists(link)) fail(link, failure);
}

void write_whole(const fs::path& path, const std::string& text) {
  make_folder(path.parent_path());
  const fs::path temporary = path.string() + "." + std::to_string(::getpid());
  std::error_code failure;
  {
    std::ofstream file(temporary, std::ios::binary);
    file << text;
    file.close();
    if (file.fail()) failure = std::make_error_code(std::errc::io_error);
  }
  if (!failure) fs::rename(temporary, path, failure);
  if (!failure) return;
  std::error_code ignored;
  fs::remove(temporary, ignored);
  fail(path, failure);
}

std::vector<CachedModel> cached_models(const Settings& settings) {
  std::vector<CachedModel> models;
  std::error_code failure;
  std::vector<fs::path> repos;
  for (fs::directory_iterator at(settings.cache, failure), end; at != end; at.increment(failure)) {
    if (failure) break;
    if (at->path().filename().string().rfind(kFolder, 0) == 0) repos.push_back(at->path());
  }
  std::sort(repos.begin(), repos.end());
  for (const fs::path& repo : repos) {
    const std::string folder = repo.filename().string().substr(kFolder.size());
    const std::string name = replaced(folder, "--", "/");
    const fs::path snapshot = repo / "snapshots" / cached_commit(repo);
    const std::vector<std::string> files = cached_files(repo);
    for (std::size_t i = 0; i < files.size(); ++i) {
      const FileName file = read_file_name(files[i]);
      if (!file.is_model || file.part != 1) continue;
      CachedModel model;
      model.name = name + ":" + (file.quant.empty() ? files[i] : file.quant);
      model.path = (snapshot / files[i]).string();
      const std::vector<int> parts = parts_of(files, static_cast<int>(i));
      for (const int part : parts) {
        model.n_bytes += size_of(snapshot / files[static_cast<std::size_t>(part)]);
      }
      model.n_files = file.n_parts;
      model.is_complete = static_cast<int>(parts.size()) == file.n_parts;
      models.push_back(std::move(model));
    }
  }
  return models;
}

namespace {

// Blobs that no snapshot of the repository links to any more, and parts of files.
std::uint64_t remove_orphans(const fs::path& repo) {
  std::error_code failure;
  std::set<fs::path> used;
  for (fs::recursive_directory_iterator at(repo / "snapshots", failure), end; at != end;
       at.increment(failure)) {
    if (failure) break;
    if (fs::is_symlink(at->path())) used.insert(fs::weakly_canonical(at->path(), failure));
  }
  std::uint64_t n_freed = 0;
  std::vector<fs::path> orphans;
  for (fs::directory_iterator at(repo / "blobs", failure), end; at != end; at.increment(failure)) {
    if (failure) break;
    if (used.count(fs::weakly_canonical(at->path(), failure)) == 0) orphans.push_back(at->path());
  }
  for (const fs::path& orphan : orphans) {
    const std::uint64_t n_bytes = size_of(orphan);
    if (fs::remove(orphan, failure)) n_freed += n_bytes;
  }
  return n_freed;
}

}  // namespace

std::uint64_t remove_model(const RepoName& name, const Settings& settings) {
  const fs::path repo = repo_folder(settings, name.repo);
  std::error_code failure;
  const auto none = [&](const std::string& what) {
    return Error(ErrorCode::file_not_found, what + " is not in the cache " +
                                                apps::in_quotes(settings.cache) +
                                                "; \"gumbelspec models\" lists what is");
  };
  if (!fs::is_directory(repo, failure)) throw none(name.repo);
  std::uint64_t n_freed = 0;
  if (name.quant.empty()) {
    for (fs::recursive_directory_iterator at(repo, failure), end; at != end;
         at.increment(failure)) {
      if (failure) break;
      if (!at->is_symlink() && at->is_regular_file()) n_freed += size_of(at->path());
    }
    fs::remove_all(repo, failure);
    if (failure) fail(repo, failure);
    return n_freed;
  }
  const fs::path snapshot = repo / "snapshots" / cached_commit(repo);
  const std::vector<std::string> files = cached_files(repo);
  const int chosen = choose_file(files, name.quant);
  if (chosen < 0) throw none(name.repo + ":" + name.quant);
  for (const int part : parts_of(files, chosen)) {
    const fs::path file = snapshot / files[static_cast<std::size_t>(part)];
    if (!fs::is_symlink(file)) n_freed += size_of(file);
    fs::remove(file, failure);
    if (failure) fail(file, failure);
  }
  return n_freed + remove_orphans(repo);
}

}  // namespace gumbelspec::hub
