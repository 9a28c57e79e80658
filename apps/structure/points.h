// Sets of characters.
#ifndef GUMBELSPEC_APPS_STRUCTURE_POINTS_H_
#define GUMBELSPEC_APPS_STRUCTURE_POINTS_H_

#include <cstdint>
#include <vector>

namespace gumbelspec::structure {

struct PointRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;  // inclusive
  bool operator==(const PointRange&) const = default;
};

// Sorted, disjoint, not adjacent; characters only (no surrogates).
using Points = std::vector<PointRange>;

Points make_points(std::vector<PointRange> ranges);
Points all_points();
Points other_points(const Points& points);
Points common_points(const Points& a, const Points& b);

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_POINTS_H_
