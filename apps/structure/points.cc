#include "apps/structure/points.h"

#include <algorithm>

namespace gumbelspec::structure {
namespace {

constexpr std::uint32_t kLast = 0x10FFFF;

}  // namespace

Points make_points(std::vector<PointRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const PointRange& a, const PointRange& b) { return a.first < b.first; });
  Points joined;
  for (const PointRange& range : ranges) {
    if (range.first > range.last) continue;
    if (!joined.empty() && range.first <= joined.back().last + 1) {
      joined.back().last = std::max(joined.back().last, range.last);
    } else {
      joined.push_back(range);
    }
  }
  return common_points(joined, all_points());
}

Points all_points() { return {{0, 0xD7FF}, {0xE000, kLast}}; }

Points other_points(const Points& points) {
  Points out;
  std::uint32_t next = 0;
  for (const PointRange& range : points) {
    if (range.first > next) out.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLast) out.push_back({next, kLast});
  return common_points(out, all_points());
}

Points common_points(const Points& a, const Points& b) {
  Points out;
  for (std::size_t i = 0, k = 0; i < a.size() && k < b.size();) {
    const PointRange both{std::max(a[i].first, b[k].first), std::min(a[i].last, b[k].last)};
    if (both.first <= both.last) out.push_back(both);
    if (a[i].last < b[k].last) {
      ++i;
    } else {
      ++k;
    }
  }
  return out;
}

}  // namespace gumbelspec::structure
