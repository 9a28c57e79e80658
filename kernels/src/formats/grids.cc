#include "kernels/src/formats/grids.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

// NOLINTBEGIN(readability-identifier-naming): ggml's names
#define GGML_COMMON_DECL_CPP
#define GGML_COMMON_IMPL_CPP
// NOLINTEND(readability-identifier-naming)
#include "ggml-common.h"

namespace gumbelspec::kernels {
namespace {

using Entries = std::vector<std::pair<uint64_t, int>>;  // with their indices

template <class Table>
Entries sorted(const Table& table) {
  Entries all;
  for (const auto& entry : table) all.emplace_back(entry, static_cast<int>(all.size()));
  std::sort(all.begin(), all.end());
  return all;
}

const Entries& entries_of(Grid grid) {
  static const Entries kSorted[] = {sorted(iq1s_grid), sorted(iq2xxs_grid), sorted(iq2xs_grid),
                                    sorted(iq2s_grid), sorted(iq3xxs_grid), sorted(iq3s_grid)};
  return kSorted[static_cast<int>(grid)];
}

}  // namespace

uint64_t grid_entry(Grid grid, int index) {
  switch (grid) {
    case Grid::iq1_s:
      return iq1s_grid[index];
    case Grid::iq2_xxs:
      return iq2xxs_grid[index];
    case Grid::iq2_xs:
      return iq2xs_grid[index];
    case Grid::iq2_s:
      return iq2s_grid[index];
    case Grid::iq3_xxs:
      return iq3xxs_grid[index];
    case Grid::iq3_s:
      return iq3s_grid[index];
  }
  return 0;
}

int grid_index(Grid grid, uint64_t entry) {
  const Entries& all = entries_of(grid);
  const auto at = std::lower_bound(all.begin(), all.end(), std::pair(entry, 0));
  return at != all.end() && at->first == entry ? at->second : 0;
}

}  // namespace gumbelspec::kernels
