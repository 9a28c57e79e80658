// One file, from a URL into a place: resumed, checked, and whole or not there.
#ifndef GUMBELSPEC_APPS_HUB_DOWNLOAD_H_
#define GUMBELSPEC_APPS_HUB_DOWNLOAD_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "apps/hub/hub.h"

namespace gumbelspec::hub {

struct Download {
  std::string url;
  std::string name;           // for people
  std::filesystem::path to;   // what is there of it meanwhile: to + ".incomplete"
  std::uint64_t n_bytes = 0;  // 0: as the server says
  std::string sha256;         // in lower case; empty: only the length is checked
};

// Does nothing if the file is there. Another process that fetches the same file is waited for.
// Throws: Error{file_not_found}; Cancelled. What came of the file stays, unless it is wrong.
void download(const Download& what, const Settings& settings);

}  // namespace gumbelspec::hub

#endif  // GUMBELSPEC_APPS_HUB_DOWNLOAD_H_
