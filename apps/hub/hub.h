// Models by name. Files come from a model hub (Hugging Face's API) into the cache that its own
// tools and llama.cpp use, so that none is fetched twice:
//   models--USER--MODEL/refs/main              the commit that a branch was at
//   models--USER--MODEL/blobs/SHA256           the files; SHA256.incomplete: a part of one
//   models--USER--MODEL/snapshots/COMMIT/NAME  links to them
#ifndef GUMBELSPEC_APPS_HUB_HUB_H_
#define GUMBELSPEC_APPS_HUB_HUB_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gumbelspec/error.h"

namespace gumbelspec::hub {

// How far a file is. Units: bytes, and bytes per second over the last seconds.
struct Transfer {
  std::string name;
  std::uint64_t n_done = 0;
  std::uint64_t n_total = 0;  // 0: not known
  double rate = 0.0;
};

struct Settings {
  std::string endpoint;     // "https://huggingface.co/"; the one that is asked for repositories
  std::string token;        // empty: none; only the endpoint's own machine sees it
  std::string cache;        // folder of repositories
  std::string url_cache;    // folder of files that have a URL only
  bool is_offline = false;  // what is in the cache, or nothing
  std::chrono::milliseconds timeout{30'000};  // without a byte
  std::chrono::milliseconds pause{500};       // before a transfer is taken up again
  std::function<void(const Transfer&)> on_progress = {};
  std::function<void(const std::string& line)> on_notice = {};  // what a user should know
  std::function<bool()> is_cancelled = {};
};

// From HF_ENDPOINT, HF_TOKEN (or the token that Hugging Face's tools keep), and, for the cache, as
// these tools and llama.cpp do: LLAMA_CACHE, HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME,
// XDG_CACHE_HOME, HOME.
[[nodiscard]] Settings settings_of_environment();

// "user/model" or "user/model:QUANT".
struct RepoName {
  std::string repo;
  std::string quant;  // empty: Q4_K_M, else Q8_0, else the first file
};
// Throws: Error{invalid_option}.
[[nodiscard]] RepoName parse_name(const std::string& text);

// Thrown where is_cancelled said so. What came stays, and the next time it goes on from there.
struct Cancelled {};

// The model's file, or the first part of several, on this machine: fetched unless it is there, with
// length and checksum as the hub tells them. file: this one in the repository; empty: by the quant.
// Throws: Error{file_not_found} with what is wrong and what to do; Cancelled.
[[nodiscard]] std::string fetch(const RepoName& name, const std::string& file,
                                const Settings& settings);
// The same of a URL, and of the other parts where its name says that there are some.
[[nodiscard]] std::string fetch_url(const std::string& url, const Settings& settings);

// A model in the cache.
struct CachedModel {
  std::string name;  // "user/model:QUANT"
  std::string path;  // of its first file
  std::uint64_t n_bytes = 0;
  int n_files = 1;
  bool is_complete = true;  // all parts are there
};
[[nodiscard]] std::vector<CachedModel> cached_models(const Settings& settings);

// Removes one, or all of a repository, and what was begun of it. Returns: bytes that became free.
// Throws: Error{file_not_found} if there is none.
std::uint64_t remove_model(const RepoName& name, const Settings& settings);

// What drafts for a model of this name, as a name; empty: not known. A draft fits if it has the
// target's vocabulary, which is checked when both are loaded.
struct KnownDraft {
  std::string name;
  std::string what;  // "0.6 GB"
};
[[nodiscard]] KnownDraft known_draft(const std::string& target);

}  // namespace gumbelspec::hub

#endif  // GUMBELSPEC_APPS_HUB_HUB_H_
