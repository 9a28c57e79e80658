// Top-k, top-p and min-p without sorting the vocabulary.
//
// Every truncation keeps a beginning of the tokens in the order of their weights, of equal ones the
// smaller id first. So what is kept is said by a cut: the least weight, and how many of the tokens
// that have just this weight. Finding it takes one pass over the row for the maxima of blocks, and
// then looks at the few blocks or the one bucket of weights where the cut must lie.
//
// Top-p weighs tokens in integers (mass_math.h): the cut is at the first token with which the sum
// of masses is at least top_p times the sum of all, exactly, so it is the same however it is found.
#ifndef GUMBELSPEC_CORE_TRUNCATION_H_
#define GUMBELSPEC_CORE_TRUNCATION_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gumbelspec/sampling.h"
#include "gumbelspec/types.h"

namespace gumbelspec {

// All tokens of a larger weight, and of those of this weight the first n_ties.
struct Cut {
  float least = 0.0F;
  std::size_t n_ties = 0;

  friend bool operator==(const Cut&, const Cut&) = default;
};

// For rows of one length; holds the memory that it needs. Does not allocate after it is made.
class Truncation {
 public:
  explicit Truncation(std::size_t n_vocab);

  // A new row, of which nothing is cut yet. Returns: whether anything can be; without an allowed
  // token, or with an infinite weight, a row is left as it is. Lifetime: row until finish().
  [[nodiscard]] bool begin(std::span<const float> row);
  // Requires: k > 0.
  void keep_top_k(std::size_t k);
  // Requires: p in (0, 1); at most kMostMasses tokens. if_short: of a long row nothing is cut where
  // the nucleus is not found among the first few tokens, which is what takes long.
  void keep_top_p(float p, bool if_short = false);
  // The weights that are at most so far (<= 0) from the largest one.
  void keep_within(float distance);
  // What is left: a list where it is short, else the row with -infinity elsewhere, written to
  // `whole`, which may be the row. Lifetime: until begin(). Shape: whole [n_vocab]. if_short: a
  // long row of which too much is left for a list stays as it was.
  [[nodiscard]] KeptRow finish(std::span<float> whole, bool if_short = false);

 private:
  // What a token counts towards a cut.
  enum class Count { mass, one };
  // Where a cut lies, and the sum of what it keeps.
  struct Crossing {
    Cut cut;
    std::uint64_t sum = 0;
  };

  [[nodiscard]] bool list_from(float least, std::size_t n_most);
  void read_values();
  void filter(const Cut& cut);
  [[nodiscard]] std::span<float> copied_values();
  void count(std::span<const float> values, Count what, std::uint64_t* out) const;
  [[nodiscard]] std::uint64_t sum_of(std::span<const float> values, Count what) const;

  [[nodiscard]] Crossing cross_sorted(std::span<float> values, std::uint64_t above,
                                      std::uint64_t wanted, Count what);
  [[nodiscard]] Crossing cross(std::span<float> values, std::uint64_t above, std::uint64_t wanted,
                               Count what);
  void fill_buckets(std::span<const float> values, float most, float scale, Count what);
  std::span<float> gather(float least, float most);
  [[nodiscard]] std::span<float> bucket_of_row(std::size_t bucket, float scale, Count what);
  [[nodiscard]] bool cut_by_sample(float top_p);
  [[nodiscard]] Cut cut_row(float top_p, std::size_t top_k, Count what);
  [[nodiscard]] bool keep_top_p_of_list(float p);

  std::span<const float> row_;
  float largest_ = 0.0F;
  double sum_ = 0.0;  // of the row's masses, about; 0: not known yet
  std::size_t block_ = 64;
  std::vector<float> maxima_;  // of the blocks
  std::vector<float> order_;   // maxima or values being sorted
  bool is_listed_ = false;
  bool is_cut_ = false;  // not listed, but cut_ says what is kept
  Cut cut_;
  std::size_t n_listed_ = 0;
  std::vector<TokenId> tokens_;         // [n_vocab + slack], the listed ones, ascending
  std::vector<float> values_;           // [n_vocab], their weights
  std::vector<std::uint64_t> buckets_;  // [2, kBuckets], added up
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_TRUNCATION_H_
