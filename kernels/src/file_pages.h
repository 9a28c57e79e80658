// Memory from and to the operating system.
#ifndef GUMBELSPEC_KERNELS_SRC_FILE_PAGES_H_
#define GUMBELSPEC_KERNELS_SRC_FILE_PAGES_H_

#include <cstddef>

namespace gumbelspec::kernels {

// Zeroed memory at a page boundary, on huge pages where the system offers them.
// Returns null when there is none. Give it back with free_zeroed and the same size.
void* allocate_zeroed(size_t size);
void free_zeroed(void* base, size_t size);

// Drops the pages that lie wholly in [data, data + size) from the resident set, if they belong to a
// read-only file mapping; anything else is left alone. The mapping stays valid: a later read
// fetches the pages again.
void release_file_pages(const void* data, size_t size);

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FILE_PAGES_H_
