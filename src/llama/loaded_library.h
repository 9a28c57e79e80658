// Which file a library of this process came from, and which build it is.
#ifndef GUMBELSPEC_SRC_LLAMA_LOADED_LIBRARY_H_
#define GUMBELSPEC_SRC_LLAMA_LOADED_LIBRARY_H_

#include <optional>
#include <string>
#include <string_view>

namespace gumbelspec::internal {

struct LoadedLibrary {
  std::string path;
  std::string build_id;  // of its ELF note, hexadecimal; empty if it has none
};

// The library whose file is called name or name.<version>; nothing if none is loaded, and on
// systems without ELF.
// Threads: any.
[[nodiscard]] std::optional<LoadedLibrary> find_loaded_library(std::string_view name);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_LOADED_LIBRARY_H_
