// From a name to files: what the hub lists, what is fetched of it, and what the cache knows.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <vector>

#include "apps/common/utf8_stream.h"
#include "apps/hub/cache.h"
#include "apps/hub/download.h"
#include "apps/hub/http.h"
#include "apps/hub/hub.h"
#include "apps/hub/names.h"

namespace gumbelspec::hub {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct RemoteFile {
  std::string path;
  std::string oid;  // SHA-256 of large files, Git's SHA-1 of small ones
  std::uint64_t n_bytes = 0;
};

struct RemoteRepo {
  std::string commit;
  std::vector<RemoteFile> files;
};

bool is_hex(const std::string& text, std::size_t n) {
  return text.size() == n && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// What a hub says becomes a path on this machine.
bool stays_below(const std::string& path) {
  const fs::path given(path);
  return !path.empty() && given.is_relative() &&
         std::none_of(given.begin(), given.end(), [](const fs::path& part) {
           return part == ".." || part == "." || part.empty();
         });
}

Json get_json(const std::string& url, const std::string& what, const Settings& settings,
              bool& is_unreachable) {
  const Response response = get(url, settings);
  is_unreachable = response.status == 0 || response.status >= 500;
  if (!response.is_ok()) throw refusal(what, response, settings);
  Json json = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    throw Error(ErrorCode::file_not_found,
                what + " is answered by " + settings.endpoint +
                    " with something that is not JSON; check HF_ENDPOINT");
  }
  return json;
}

std::string text_of(const Json& json, const char* name) {
  if (!json.is_object()) return {};
  const auto found = json.find(name);
  return found == json.end() || !found->is_string() ? std::string() : found->get<std::string>();
}

RemoteFile read_file(const Json& item) {
  RemoteFile file{text_of(item, "path"), text_of(item, "oid"), 0};
  const auto lfs = item.find("lfs");
  const Json& sized = lfs != item.end() && lfs->is_object() ? *lfs : item;
  if (&sized != &item) file.oid = text_of(sized, "oid");
  if (const auto size = sized.find("size"); size != sized.end() && size->is_number_unsigned()) {
    file.n_bytes = size->get<std::uint64_t>();
  }
  return file;
}

RemoteRepo read_repo(const std::string& repo, const Settings& settings, bool& is_unreachable) {
  const std::string what = "the repository " + repo;
  const std::string api = settings.endpoint + "api/models/" + repo;
  RemoteRepo remote;
  const Json refs = get_json(api + "/refs", what, settings, is_unreachable);
  if (refs.is_object() && refs.contains("branches") && refs["branches"].is_array()) {
    for (const Json& branch : refs["branches"]) {
      const std::string commit = text_of(branch, "targetCommit");
      if (!is_hex(commit, 40)) continue;
      const bool is_main = text_of(branch, "name") == "main";
      if (is_main || remote.commit.empty()) remote.commit = commit;
      if (is_main) break;
    }
  }
  if (remote.commit.empty()) {
    throw Error(ErrorCode::file_not_found, what + " has no branch; check the spelling");
  }
  const Json tree =
      get_json(api + "/tree/" + remote.commit + "?recursive=true", what, settings, is_unreachable);
  for (const Json& item : tree.is_array() ? tree : Json::array()) {
    if (text_of(item, "type") != "file") continue;
    RemoteFile file = read_file(item);
    const bool is_named = is_hex(file.oid, 64) || is_hex(file.oid, 40);
    if (is_named && stays_below(file.path)) remote.files.push_back(std::move(file));
  }
  return remote;
}

// The index of the file that was asked for. Throws: Error{file_not_found}.
int chosen_file(const RepoName& name, const std::string& file,
                const std::vector<std::string>& paths, const std::string& where) {
  const auto found = std::find(paths.begin(), paths.end(), file);
  if (!file.empty() && found != paths.end()) return static_cast<int>(found - paths.begin());
  const int chosen = file.empty() ? choose_file(paths, name.quant) : -1;
  if (chosen >= 0) return chosen;
  const std::string quants = listed_quants(paths);
  const std::string wanted = !file.empty()         ? "file " + apps::in_quotes(file)
                             : !name.quant.empty() ? "file of quantization " + name.quant
                                                   : std::string(".gguf file");
  throw Error(ErrorCode::file_not_found,
              "the repository " + name.repo + " has no " + wanted + where + "; " +
                  (quants.empty() ? "choose one with GGUF files, whose names often end in -GGUF"
                                  : "it has " + quants));
}

std::string cached_path(const RepoName& name, const std::string& file, const Settings& settings) {
  const fs::path repo = repo_folder(settings, name.repo);
  const std::vector<std::string> paths = cached_files(repo);
  const std::string where = " in the cache " + apps::in_quotes(settings.cache);
  if (paths.empty()) {
    throw Error(ErrorCode::file_not_found, "the repository " + name.repo + " is not" + where +
                                               "; fetch it once without --offline");
  }
  const int chosen = chosen_file(name, file, paths, where);
  const std::string& path = paths[static_cast<std::size_t>(chosen)];
  const auto n_parts = static_cast<std::size_t>(read_file_name(path).n_parts);
  if (parts_of(paths, chosen).size() != n_parts) {
    throw Error(ErrorCode::file_not_found, apps::in_quotes(path) + " has " +
                                               std::to_string(n_parts) +
                                               " parts, which are not "
                                               "all" +
                                               where + "; fetch it without --offline");
  }
  return (repo / "snapshots" / cached_commit(repo) / path).string();
}

std::vector<std::string> paths_of(const RemoteRepo& remote) {
  std::vector<std::string> paths;
  for (const RemoteFile& file : remote.files) paths.push_back(file.path);
  return paths;
}

// FNV-1a: a folder for each URL.
std::string hashed(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  std::string digits;
  for (int i = 0; i < 16; ++i) digits += "0123456789abcdef"[hash >> (4 * i) & 15U];
  return digits;
}

}  // namespace

std::string fetch(const RepoName& name, const std::string& file, const Settings& settings) {
  if (settings.is_offline) return cached_path(name, file, settings);
  RemoteRepo remote;
  bool is_unreachable = false;
  try {
    remote = read_repo(name.repo, settings, is_unreachable);
  } catch (const Error& error) {
    if (!is_unreachable || cached_files(repo_folder(settings, name.repo)).empty()) throw;
    std::string path = cached_path(name, file, settings);
    if (settings.on_notice) {
      settings.on_notice("the hub cannot be reached; " + name.repo + " is taken from the cache");
    }
    return path;
  }
  const std::vector<std::string> paths = paths_of(remote);
  const int chosen = chosen_file(name, file, paths, "");
  const fs::path repo = repo_folder(settings, name.repo);
  const fs::path snapshot = repo / "snapshots" / remote.commit;
  const std::vector<int> parts = parts_of(paths, chosen);
  const std::string& first = paths[static_cast<std::size_t>(chosen)];
  if (static_cast<int>(parts.size()) != read_file_name(first).n_parts) {
    throw Error(ErrorCode::file_not_found, "the repository " + name.repo +
                                               " does not have all parts of " +
                                               apps::in_quotes(first) + "; choose another file");
  }
  for (const int i : parts) {
    const RemoteFile& one = remote.files[static_cast<std::size_t>(i)];
    const fs::path blob = repo / "blobs" / one.oid;
    std::error_code failure;
    if (fs::exists(snapshot / one.path, failure)) continue;
    download({settings.endpoint + name.repo + "/resolve/" + remote.commit + "/" + one.path,
              one.path, blob, one.n_bytes, is_hex(one.oid, 64) ? one.oid : std::string()},
             settings);
    link_blob(blob, snapshot / one.path);
  }
  write_whole(repo / "refs" / "main", remote.commit);
  return (snapshot / first).string();
}

std::string fetch_url(const std::string& url, const Settings& settings) {
  const std::string plain = url.substr(0, url.find_first_of("?#"));
  const std::string query = url.substr(plain.size());
  const std::string file = plain.substr(plain.rfind('/') + 1);
  const std::size_t scheme = plain.find("://");
  if (scheme == std::string::npos || plain.find('/', scheme + 3) == std::string::npos ||
      file.empty() || !stays_below(file)) {
    throw Error(ErrorCode::invalid_option, "the address " + apps::in_quotes(url) +
                                               " names no file; give one, e.g. "
                                               "https://example.org/model.gguf");
  }
  const FileName name = read_file_name(file);
  const fs::path folder = fs::path(settings.url_cache) / hashed(url);
  const std::string base = plain.substr(0, plain.size() - file.size());
  for (int part = 1; part <= name.n_parts; ++part) {
    std::string one = file;
    if (name.n_parts > 1) {
      const std::string digits = std::to_string(part);
      one = name.stem + "-" + std::string(5 - std::min<std::size_t>(5, digits.size()), '0') +
            digits + file.substr(name.stem.size() + 6);
    }
    std::error_code failure;
    if (settings.is_offline && !fs::exists(folder / one, failure)) {
      throw Error(ErrorCode::file_not_found,
                  apps::in_quotes(one) + " of " + apps::in_quotes(url) + " is not in the cache " +
                      apps::in_quotes(settings.url_cache) + "; fetch it once without --offline");
    }
    download({base + one + query, one, folder / one, 0, ""}, settings);
  }
  return (folder / file).string();
}

}  // namespace gumbelspec::hub
