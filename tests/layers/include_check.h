// Reads the includes of a source tree and says which of them no rule allows.
#ifndef GUMBELSPEC_TESTS_LAYERS_INCLUDE_CHECK_H_
#define GUMBELSPEC_TESTS_LAYERS_INCLUDE_CHECK_H_

#include <cstddef>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace gumbelspec::testing {

// A folder with all below it, but for what has a row of its own. The headers below
// include/gumbelspec count to the folders "public core", "public engine" ..., as
// gumbelspec_public_headers() in src/*/CMakeLists.txt says; gumbelspec.h to "public all".
struct Folder {
  std::string name;
  std::vector<std::string> uses;  // other folders, each in a row before; {"*"}: all
  bool is_standard_only = false;  // besides, it sees the standard library, and kLibraries
};

// What is not of this project, and the folders (with all below them) that may see it.
struct Library {
  std::string prefix;  // of the name in the include
  std::vector<std::string> folders;
};

struct Rules {
  std::vector<Folder> folders;
  std::vector<Library> libraries;
};

struct Findings {
  std::vector<std::string> violations;         // "src/core/a.cc: may not include ...", a line each
  std::map<std::string, std::size_t> n_files;  // by folder
  std::set<std::string> public_headers;        // "batch.h"
};

// Files that end in .h, .cc or .inc, below the folders of the rules and those that have a
// CMakeLists.txt. Throws: std::runtime_error where a file cannot be read.
[[nodiscard]] Findings check_includes(const std::filesystem::path& root, const Rules& rules);

// The names in a file's #include lines, in < > or " ", with the first of these characters.
[[nodiscard]] std::vector<std::string> includes_of(const std::filesystem::path& file);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_LAYERS_INCLUDE_CHECK_H_
