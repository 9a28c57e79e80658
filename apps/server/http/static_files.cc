#include "apps/server/http/static_files.h"

#include <algorithm>

namespace gumbelspec::server {

const StaticFile* find_static_file(std::string_view path) {
  const auto files = static_files();
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const StaticFile& file) { return file.path == path; });
  return found == files.end() ? nullptr : &*found;
}

bool accepts_gzip(std::string_view accept_encoding) {
  const std::size_t at = accept_encoding.find("gzip");
  if (at == std::string_view::npos) return false;
  // "gzip;q=0" refuses it; "gzip;q=0.5" does not.
  std::string_view rest = accept_encoding.substr(at + 4);
  rest = rest.substr(0, rest.find(','));
  const std::size_t weight = rest.find("q=");
  return weight == std::string_view::npos ||
         rest.find_first_of("123456789", weight) != std::string_view::npos;
}

}  // namespace gumbelspec::server
