// How far rows of logits are from a reference's, where both are computed from the same text.
#ifndef GUMBELSPEC_APPS_CLI_ROW_DISTANCE_H_
#define GUMBELSPEC_APPS_CLI_ROW_DISTANCE_H_

#include <cstddef>
#include <span>
#include <vector>

namespace gumbelspec::apps::cli {

// Logits count up to a constant of their row (the softmax does not see it), so rows are compared
// less their means.
struct RowDistance {
  // Root of the difference's squares over the reference's. 0: equal, 1: as far as the row is long,
  // 1.4: nothing in common. Infinity: a number is not finite in one of them only.
  double relative = 0.0;
  float largest = 0.0F;          // difference of one logit
  bool is_other_choice = false;  // the largest logits are different tokens'
  float margin = 0.0F;           // then: by how much the reference prefers its own token
};

// Requires: two rows of one length, not empty.
[[nodiscard]] RowDistance row_distance(std::span<const float> row,
                                       std::span<const float> reference);

// Of many rows.
class RowDistances {
 public:
  void add(const RowDistance& row) { rows_.push_back(row); }
  void add(const RowDistances& other) {
    rows_.insert(rows_.end(), other.rows_.begin(), other.rows_.end());
  }
  [[nodiscard]] std::size_t n_rows() const { return rows_.size(); }
  [[nodiscard]] double median() const;  // of the rows' relative distances; 0 without rows
  [[nodiscard]] double mean() const;    // root of the mean square of them
  [[nodiscard]] float largest() const;  // difference of one logit
  [[nodiscard]] std::size_t n_other_choices() const;
  [[nodiscard]] float largest_margin() const;  // among them

 private:
  std::vector<RowDistance> rows_;
};

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_ROW_DISTANCE_H_
