#include "apps/server/http/static_files.h"

#include <algorithm>

namespace gumbelspec::server {

// There is no page yet.
std::span<const StaticFile> static_files() { return {}; }

const StaticFile* find_static_file(std::string_view path) {
  const auto files = static_files();
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const StaticFile& file) { return file.path == path; });
  return found == files.end() ? nullptr : &*found;
}

}  // namespace gumbelspec::server
