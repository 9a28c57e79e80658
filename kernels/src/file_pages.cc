#include "kernels/src/file_pages.h"

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace gumbelspec::kernels {

#if defined(__linux__)

void* allocate_zeroed(size_t size) {
  void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  madvise(base, size, MADV_HUGEPAGE);  // fewer page walks on a stream of gigabytes; may fail
  return base;
}

void free_zeroed(void* base, size_t size) { munmap(base, size); }

namespace {

// Whether one read-only mapping of a file covers [begin, end).
bool is_read_only_file(uintptr_t begin, uintptr_t end) {
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (!maps) return false;
  char line[4096];
  bool found = false;
  while (!found && std::fgets(line, sizeof(line), maps)) {
    uint64_t from = 0, to = 0, inode = 0;
    char rights[8] = {};
    const int n = std::sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*x %*x:%*x %" SCNu64, &from, &to,
                              rights, &inode);
    found = n == 4 && from <= begin && end <= to && inode != 0 && rights[1] == '-';
  }
  std::fclose(maps);
  return found;
}

}  // namespace

void release_file_pages(const void* data, size_t size) {
  constexpr size_t kWorthwhile = 1 << 20;
  if (size < kWorthwhile) return;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto at = reinterpret_cast<uintptr_t>(data);
  const uintptr_t begin = (at + page - 1) / page * page, end = (at + size) / page * page;
  if (begin >= end || !is_read_only_file(begin, end)) return;
  auto* first = static_cast<char*>(const_cast<void*>(data)) + (begin - at);
  madvise(first, end - begin, MADV_DONTNEED);
}

#else

void* allocate_zeroed(size_t size) { return std::calloc(1, size); }
void free_zeroed(void* base, size_t) { std::free(base); }
void release_file_pages(const void*, size_t) {}

#endif

}  // namespace gumbelspec::kernels
