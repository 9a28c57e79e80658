#include "src/llama/loaded_library.h"

#if defined(__linux__)
#include <link.h>

#include <cstddef>
#include <cstring>
#endif

namespace gumbelspec::internal {

#if defined(__linux__)

namespace {

struct Search {
  std::string_view name;
  std::optional<LoadedLibrary> found;
};

bool is_called(std::string_view path, std::string_view name) {
  const std::string_view file = path.substr(path.rfind('/') + 1);
  return file.substr(0, name.size()) == name &&
         (file.size() == name.size() || file[name.size()] == '.');
}

// One segment of notes: each a header, a name and a description, both padded to four bytes.
std::string build_id_in(const unsigned char* notes, std::size_t size) {
  const auto padded = [](std::size_t n) { return (n + 3) / 4 * 4; };
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes, sizeof header);
    const std::size_t description = sizeof header + padded(header.n_namesz);
    const std::size_t end = description + padded(header.n_descsz);
    if (end > size) break;
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
        std::memcmp(notes + sizeof header, "GNU", 4) == 0) {
      std::string id;
      for (std::size_t i = 0; i < header.n_descsz; ++i) {
        const unsigned byte = notes[description + i];
        id += "0123456789abcdef"[byte >> 4U];
        id += "0123456789abcdef"[byte & 15U];
      }
      return id;
    }
    notes += end;
    size -= end;
  }
  return {};
}

int look_at(dl_phdr_info* info, std::size_t, void* data) {
  auto& search = *static_cast<Search*>(data);
  if (info->dlpi_name == nullptr || !is_called(info->dlpi_name, search.name)) return 0;
  search.found = {info->dlpi_name, {}};
  for (int i = 0; i < info->dlpi_phnum && search.found->build_id.empty(); ++i) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    if (part.p_type != PT_NOTE) continue;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the loader tells places as numbers
    const auto* notes = reinterpret_cast<const unsigned char*>(info->dlpi_addr + part.p_vaddr);
    search.found->build_id = build_id_in(notes, part.p_memsz);
  }
  return 1;
}

}  // namespace

std::optional<LoadedLibrary> find_loaded_library(std::string_view name) {
  Search search{name, std::nullopt};
  dl_iterate_phdr(look_at, &search);
  return search.found;
}

#else

std::optional<LoadedLibrary> find_loaded_library(std::string_view) { return std::nullopt; }

#endif

}  // namespace gumbelspec::internal
