// The cache on disk, in the layout of Hugging Face's tools (hub.h).
#ifndef GUMBELSPEC_APPS_HUB_CACHE_H_
#define GUMBELSPEC_APPS_HUB_CACHE_H_

#include <filesystem>
#include <string>
#include <vector>

#include "apps/hub/hub.h"

namespace gumbelspec::hub {

// A repository's folder; it need not exist.
[[nodiscard]] std::filesystem::path repo_folder(const Settings& settings, const std::string& repo);

// What a branch was at when it was asked for last; empty: not known.
[[nodiscard]] std::string cached_commit(const std::filesystem::path& repo);

// Files of that commit, as paths in the repository, sorted; those whose blob has gone are not
// there.
[[nodiscard]] std::vector<std::string> cached_files(const std::filesystem::path& repo);

// A link in the snapshot to a blob; where there can be none, the file itself. Both exist then.
// Throws: Error{file_not_found}.
void link_blob(const std::filesystem::path& blob, const std::filesystem::path& link);

// Writes a small file at once or not at all. Throws: Error{file_not_found}.
void write_whole(const std::filesystem::path& path, const std::string& text);

// Makes the folder. Throws: Error{file_not_found}.
void make_folder(const std::filesystem::path& path);

}  // namespace gumbelspec::hub

#endif  // GUMBELSPEC_APPS_HUB_CACHE_H_
