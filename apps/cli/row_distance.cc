#include "apps/cli/row_distance.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gumbelspec::apps::cli {
namespace {

// A forbidden token has minus infinity in both rows.
bool both_infinite(float a, float b) { return std::isinf(a) && a == b; }

struct Means {
  double row = 0.0;
  double reference = 0.0;
  bool are_comparable = true;
};

Means means_of(std::span<const float> row, std::span<const float> reference) {
  Means means;
  std::size_t n = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (both_infinite(row[i], reference[i])) continue;
    if (!std::isfinite(row[i]) || !std::isfinite(reference[i])) means.are_comparable = false;
    means.row += static_cast<double>(row[i]);
    means.reference += static_cast<double>(reference[i]);
    ++n;
  }
  if (n > 0) {
    means.row /= static_cast<double>(n);
    means.reference /= static_cast<double>(n);
  }
  return means;
}

std::size_t choice_of(std::span<const float> row) {
  return static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

template <typename Value>
Value largest_of(const std::vector<RowDistance>& rows, Value (*of)(const RowDistance&)) {
  Value largest{};
  for (const RowDistance& row : rows) largest = std::max(largest, of(row));
  return largest;
}

}  // namespace

RowDistance row_distance(std::span<const float> row, std::span<const float> reference) {
  RowDistance distance;
  const Means means = means_of(row, reference);
  if (!means.are_comparable) {
    distance.relative = std::numeric_limits<double>::infinity();
    distance.largest = std::numeric_limits<float>::infinity();
    return distance;
  }
  double squares = 0.0;
  double length = 0.0;
  double largest = 0.0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (both_infinite(row[i], reference[i])) continue;
    const double expected = static_cast<double>(reference[i]) - means.reference;
    const double difference = static_cast<double>(row[i]) - means.row - expected;
    squares += difference * difference;
    length += expected * expected;
    largest = std::max(largest, std::abs(difference));
  }
  distance.relative = squares > 0.0 ? std::sqrt(squares / length) : 0.0;
  distance.largest = static_cast<float>(largest);
  const std::size_t expected = choice_of(reference);
  const std::size_t got = choice_of(row);
  distance.is_other_choice = expected != got;
  distance.margin = reference[expected] - reference[got];
  return distance;
}

double RowDistances::median() const {
  if (rows_.empty()) return 0.0;
  std::vector<double> relative;
  for (const RowDistance& row : rows_) relative.push_back(row.relative);
  const auto middle = relative.begin() + static_cast<std::ptrdiff_t>(relative.size() / 2);
  std::nth_element(relative.begin(), middle, relative.end());
  return *middle;
}

double RowDistances::mean() const {
  double squares = 0.0;
  for (const RowDistance& row : rows_) squares += row.relative * row.relative;
  return rows_.empty() ? 0.0 : std::sqrt(squares / static_cast<double>(rows_.size()));
}

float RowDistances::largest() const {
  return largest_of<float>(rows_, [](const RowDistance& row) { return row.largest; });
}

std::size_t RowDistances::n_other_choices() const {
  return static_cast<std::size_t>(std::count_if(
      rows_.begin(), rows_.end(), [](const RowDistance& row) { return row.is_other_choice; }));
}

float RowDistances::largest_margin() const {
  return largest_of<float>(
      rows_, [](const RowDistance& row) { return row.is_other_choice ? row.margin : 0.0F; });
}

}  // namespace gumbelspec::apps::cli
