#include "src/core/truncation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "src/core/mass_math.h"
#include "src/core/vector_kernels.h"

namespace gumbelspec {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();
constexpr float kLeastFinite = std::numeric_limits<float>::lowest();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::size_t kAllTies = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kMostBlocks = 1024;
constexpr std::size_t kBuckets = 1024;
// So few values are sorted rather than put into buckets.
constexpr std::size_t kFew = 256;
// Weights are counted so many at once.
constexpr std::size_t kChunk = 256;
// The likeliest tokens that are tried first as a nucleus: those so many nats from the first one.
constexpr std::array<float, 2> kDepths = {8.0F, 12.0F};
// From here on a cut is first looked for in a sample of the row.
constexpr std::size_t kLongRow = 16384;
// The weights that buckets tell apart reach so far down; below, masses are 0.
constexpr float kDepthOfBuckets = 30.0F;

// Monotone in the weight; what is not a number is in the last one.
std::size_t bucket_of(float weight, float most, float scale) {
  constexpr auto kLast = static_cast<float>(kBuckets - 1);
  const float place = (most - weight) * scale;
  return place < kLast ? static_cast<std::size_t>(static_cast<std::int32_t>(place)) : kBuckets - 1;
}

// The least integer that is at least p times the total, which is below 2^63.
std::uint64_t wanted_of(float p, double total) {
  return static_cast<std::uint64_t>(std::ceil(static_cast<double>(p) * total));
}

}  // namespace

Truncation::Truncation(std::size_t n_vocab)
    : tokens_(n_vocab + kCollectSlack), values_(n_vocab), buckets_(2 * kBuckets) {
  while (n_vocab > block_ * kMostBlocks) block_ *= 2;
  maxima_.resize((n_vocab + block_ - 1) / block_);
  order_.resize(n_vocab);
}

bool Truncation::begin(std::span<const float> row) {
  if (row.size() != values_.size()) throw std::logic_error("Truncation: a row of another length");
  row_ = row;
  is_listed_ = is_cut_ = false;
  sum_ = 0.0;
  largest_ =
      vector_kernels().block_maxima({.a = row.data(), .n = row.size()}, block_, maxima_.data());
  return largest_ > kForbidden && largest_ < kInfinity;
}

// Lists the tokens from a weight on. Returns: whether they are at most n_most; otherwise nothing
// is listed.
bool Truncation::list_from(float least, std::size_t n_most) {
  least = std::max(least, kLeastFinite);
  n_listed_ = 0;
  for (std::size_t b = 0; b < maxima_.size(); ++b) {
    if (!(maxima_[b] >= least)) continue;
    const std::size_t first = b * block_;
    n_listed_ +=
        vector_kernels().collect(row_.data() + first, first, std::min(block_, row_.size() - first),
                                 least, kInfinity, tokens_.data() + n_listed_);
    if (n_listed_ > n_most) return false;
  }
  read_values();
  is_listed_ = true;
  return true;
}

void Truncation::read_values() {
  for (std::size_t i = 0; i < n_listed_; ++i) values_[i] = row_[index(tokens_[i])];
}

// Of what is listed, what the cut keeps.
void Truncation::filter(const Cut& cut) {
  std::size_t n = 0;
  std::size_t n_ties = cut.n_ties;
  for (std::size_t i = 0; i < n_listed_; ++i) {
    const float value = values_[i];
    if (value < cut.least || (value == cut.least && n_ties == 0)) continue;
    if (value == cut.least) --n_ties;
    tokens_[n] = tokens_[i];
    values_[n++] = value;
  }
  n_listed_ = n;
}

std::span<float> Truncation::copied_values() {
  std::copy_n(values_.begin(), n_listed_, order_.begin());
  return std::span(order_).first(n_listed_);
}

void Truncation::count(std::span<const float> values, Count what, std::uint64_t* out) const {
  if (what == Count::mass) {
    vector_kernels().masses(values.data(), largest_, values.size(), out);
    return;
  }
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = values[i] > kForbidden ? 1U : 0U;
}

std::uint64_t Truncation::sum_of(std::span<const float> values, Count what) const {
  std::array<std::uint64_t, kChunk> counts;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < values.size(); i += kChunk) {
    const std::size_t n = std::min(kChunk, values.size() - i);
    count(values.subspan(i, n), what, counts.data());
    for (std::size_t j = 0; j < n; ++j) sum += counts[j];
  }
  return sum;
}

// The cut among these values, where those above them count `above` together.
Truncation::Crossing Truncation::cross_sorted(std::span<float> values, std::uint64_t above,
                                              std::uint64_t wanted, Count what) {
  std::sort(values.begin(), values.end(), std::greater<>());
  std::array<std::uint64_t, kChunk> counts;
  for (std::size_t i = 0; i < values.size();) {
    const std::size_t n = std::min(kChunk, values.size() - i);
    count(values.subspan(i, n), what, counts.data());
    for (std::size_t j = 0; j < n; ++j) {
      above += counts[j];
      if (above < wanted) continue;
      const float least = values[i + j];
      const auto first = std::lower_bound(values.begin(), values.end(), least, std::greater<>());
      const auto at = values.begin() + static_cast<std::ptrdiff_t>(i + j);
      return {{least, static_cast<std::size_t>(at - first) + 1}, above};
    }
    i += n;
  }
  throw std::logic_error("Truncation: the row counts less than is wanted");
}

// buckets_ becomes what the weights in each bucket count.
void Truncation::fill_buckets(std::span<const float> values, float most, float scale, Count what) {
  std::fill(buckets_.begin(), buckets_.end(), 0);
  std::array<std::uint64_t, kChunk> counts;
  // Two tables in turns: neighbours are often in one bucket, and would wait for each other.
  std::uint64_t* const even = buckets_.data();
  std::uint64_t* const odd = even + kBuckets;
  for (std::size_t i = 0; i < values.size(); i += kChunk) {
    const std::size_t n = std::min(kChunk, values.size() - i);
    const float* const from = values.data() + i;
    count(values.subspan(i, n), what, counts.data());
    std::size_t j = 0;
    for (; j + 2 <= n; j += 2) {
      even[bucket_of(from[j], most, scale)] += counts[j];
      odd[bucket_of(from[j + 1], most, scale)] += counts[j + 1];
    }
    if (j < n) even[bucket_of(from[j], most, scale)] += counts[j];
  }
  for (std::size_t b = 0; b < kBuckets; ++b) even[b] += odd[b];
}

// As cross_sorted, by ever narrower buckets.
Truncation::Crossing Truncation::cross(std::span<float> values, std::uint64_t above,
                                       std::uint64_t wanted, Count what) {
  while (values.size() > kFew) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const float top = *most;
    const float scale = static_cast<float>(kBuckets) / (top - *least);
    if (!(scale > 0.0F) || !(scale < kInfinity)) break;  // all are equal, or nearly
    fill_buckets(values, top, scale, what);
    std::size_t b = 0;
    while (b + 1 < kBuckets && above + buckets_[b] < wanted) above += buckets_[b++];
    const auto end = std::remove_if(values.begin(), values.end(),
                                    [&](float value) { return bucket_of(value, top, scale) != b; });
    const auto n = static_cast<std::size_t>(end - values.begin());
    const bool is_much_less = n <= values.size() / 2;
    values = values.first(n);
    if (!is_much_less) break;
  }
  return cross_sorted(values, above, wanted, what);
}

// The weights of the row between two, written to order_.
std::span<float> Truncation::gather(float least, float most) {
  std::size_t n = 0;
  for (std::size_t b = 0; b < maxima_.size(); ++b) {
    if (!(maxima_[b] >= least)) continue;
    const std::size_t first = b * block_;
    const std::size_t n_here =
        vector_kernels().collect(row_.data() + first, first, std::min(block_, row_.size() - first),
                                 least, most, tokens_.data());
    for (std::size_t i = 0; i < n_here; ++i) order_[n++] = row_[index(tokens_[i])];
  }
  return std::span(order_).first(n);
}

// Those in a bucket below the largest weight.
std::span<float> Truncation::bucket_of_row(std::size_t bucket, float scale, Count what) {
  const auto in_bucket = [&](float least, float most) {
    const std::span<float> all = gather(least, most);
    const auto end = std::remove_if(all.begin(), all.end(), [&](float value) {
      return bucket_of(value, largest_, scale) != bucket;
    });
    return all.first(static_cast<std::size_t>(end - all.begin()));
  };
  const auto edge = [&](std::size_t b) { return largest_ - static_cast<float>(b) / scale; };
  // A bucket more on either side; which of them are meant is seen then.
  const float most = bucket == 0 ? kInfinity : edge(bucket - 1);
  const float least = bucket + 1 == kBuckets ? kLeastFinite : edge(bucket + 2);
  const std::span<float> found = in_bucket(least, most);
  // Where weights are so large that they are coarser than a bucket, its edges are, too.
  return sum_of(found, what) == buckets_[bucket] ? found : in_bucket(kLeastFinite, kInfinity);
}

// A part of the row says about where the cut is; then one pass adds up what lies above, and only
// what is near has to be looked at. Returns: whether the cut was there.
bool Truncation::cut_by_sample(float top_p) {
  constexpr std::size_t kRun = 16;
  constexpr std::size_t kEvery = 16 * kRun;
  constexpr std::size_t kMargin = 2;  // buckets; five standard deviations for long rows
  constexpr float kScale = static_cast<float>(kBuckets) / kDepthOfBuckets;
  if (row_.size() < kLongRow) return false;
  std::size_t n_sample = 0;
  for (std::size_t i = 0; i + kRun <= row_.size(); i += kEvery, n_sample += kRun) {
    std::copy_n(row_.begin() + static_cast<std::ptrdiff_t>(i), kRun,
                order_.begin() + static_cast<std::ptrdiff_t>(n_sample));
  }
  fill_buckets(std::span(order_).first(n_sample), largest_, kScale, Count::mass);
  const double wanted_of_sample =
      static_cast<double>(top_p) *
      static_cast<double>(
          std::accumulate(buckets_.begin(), buckets_.begin() + kBuckets, std::uint64_t{0}));
  double above_of_sample = 0.0;
  std::size_t b = 0;
  while (b + 1 < kBuckets &&
         above_of_sample + static_cast<double>(buckets_[b]) < wanted_of_sample) {
    above_of_sample += static_cast<double>(buckets_[b++]);
  }
  const auto edge = [&](std::size_t at) { return largest_ - static_cast<float>(at) / kScale; };
  const float most = b < kMargin ? kInfinity : edge(b - kMargin);
  std::array<std::uint64_t, 2> sums;  // of all, of those above `most`
  vector_kernels().mass_sums(row_.data(), largest_, most, row_.size(), sums.data());
  const std::uint64_t wanted = wanted_of(top_p, static_cast<double>(sums[0]));
  if (sums[1] >= wanted) return false;
  const std::span<float> near = gather(edge(b + 1 + kMargin), most);
  if (sums[1] + sum_of(near, Count::mass) < wanted) return false;
  cut_ = cross(near, sums[1], wanted, Count::mass).cut;
  return true;
}

// The cut of the whole row. Unless there is less than top_k: then nothing is cut.
Cut Truncation::cut_row(float top_p, std::size_t top_k, Count what) {
  constexpr float kScale = static_cast<float>(kBuckets) / kDepthOfBuckets;
  fill_buckets(row_, largest_, kScale, what);
  std::uint64_t total = 0;
  for (std::size_t b = 0; b < kBuckets; ++b) total += buckets_[b];
  const std::uint64_t wanted =
      what == Count::mass ? wanted_of(top_p, static_cast<double>(total)) : top_k;
  if (total < wanted) return {kLeastFinite, kAllTies};
  std::uint64_t above = 0;
  std::size_t b = 0;
  while (b + 1 < kBuckets && above + buckets_[b] < wanted) above += buckets_[b++];
  return cross(bucket_of_row(b, kScale, what), above, wanted, what).cut;
}

void Truncation::keep_top_k(std::size_t k) {
  if (k >= row_.size()) return;
  if (2 * k > maxima_.size()) {
    const Cut cut = cut_row(1.0F, k, Count::one);
    static_cast<void>(list_from(cut.least, row_.size()));
    filter(cut);
    return;
  }
  // The k best blocks have a token each that is at least so large.
  std::copy(maxima_.begin(), maxima_.end(), order_.begin());
  const auto end = order_.begin() + static_cast<std::ptrdiff_t>(maxima_.size());
  const auto kth_block = order_.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(order_.begin(), kth_block, end, std::greater<>());
  static_cast<void>(list_from(*kth_block, row_.size()));
  if (n_listed_ <= k) return;
  const std::span<float> values = copied_values();
  const auto kth = values.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(values.begin(), kth, values.end(), std::greater<>());
  const float least = *kth;
  const auto n_larger = static_cast<std::size_t>(
      std::count_if(values.begin(), kth, [least](float value) { return value > least; }));
  filter({least, k - n_larger});
}

// Tries the listed tokens as all that the nucleus can have. Returns: whether they are.
bool Truncation::keep_top_p_of_list(float p) {
  constexpr auto kUnit = static_cast<double>(std::uint64_t{1} << kMassBits);
  if (sum_ == 0.0) {
    sum_ = vector_kernels().exp_sum(row_.data(), largest_, row_.size()) * kUnit;
  }
  // The sum of the masses lies between these two; each mass may be rounded by a half.
  const auto n = static_cast<double>(row_.size());
  const std::uint64_t least_wanted = wanted_of(p, sum_ * (1.0 - kExpSumError) - n);
  const std::uint64_t most_wanted = wanted_of(p, sum_ * (1.0 + kExpSumError) + n);
  if (sum_of(std::span(values_).first(n_listed_), Count::mass) < most_wanted) return false;
  Crossing at = cross(copied_values(), 0, least_wanted, Count::mass);
  // The cut is the same for all between them, or the sum itself is needed.
  if (at.sum < most_wanted) {
    const auto total = static_cast<double>(sum_of(row_, Count::mass));
    at = cross(copied_values(), 0, wanted_of(p, total), Count::mass);
  }
  filter(at.cut);
  return true;
}

void Truncation::keep_top_p(float p, bool if_short) {
  if (is_listed_) {
    const auto total =
        static_cast<double>(sum_of(std::span(values_).first(n_listed_), Count::mass));
    filter(cross(copied_values(), 0, wanted_of(p, total), Count::mass).cut);
    return;
  }
  // Most rows are peaked: then a sum that is nearly right and the first few tokens are enough.
  for (const float depth : kDepths) {
    if (!list_from(largest_ - depth, row_.size() / 16)) break;
    if (keep_top_p_of_list(p)) return;
  }
  is_listed_ = false;
  if (if_short && row_.size() >= kLongRow) return;
  is_cut_ = true;
  if (!cut_by_sample(p)) cut_ = cut_row(p, 0, Count::mass);
}

void Truncation::keep_within(float distance) {
  const float least = largest_ + distance;
  if (is_listed_) {
    filter({least, kAllTies});
  } else if (!is_cut_ || least > cut_.least) {
    cut_ = {least, kAllTies};
    is_cut_ = true;
  }
}

KeptRow Truncation::finish(std::span<float> whole, bool if_short) {
  const std::size_t most = KeptRow::most_listed(row_.size());
  if (!is_listed_ && !is_cut_) return KeptRow::of(row_);
  if (!is_listed_ && list_from(cut_.least, most)) filter(cut_);
  if (is_listed_ && n_listed_ <= most) {
    KeptRow kept;
    kept.tokens = std::span(tokens_).first(n_listed_);
    kept.weights = std::span(values_).first(n_listed_);
    kept.is_whole = false;
    return kept;
  }
  if (if_short && row_.size() >= kLongRow) return KeptRow::of(row_);
  if (is_listed_) {
    std::fill(whole.begin(), whole.end(), kForbidden);
    for (std::size_t i = 0; i < n_listed_; ++i) whole[index(tokens_[i])] = values_[i];
    return KeptRow::of(whole);
  }
  std::size_t n_surplus =
      vector_kernels().keep_from(row_.data(), cut_.least, whole.data(), row_.size());
  n_surplus -= std::min(n_surplus, cut_.n_ties);
  for (std::size_t i = whole.size(); n_surplus > 0; --i) {
    if (whole[i - 1] != cut_.least) continue;
    whole[i - 1] = kForbidden;
    --n_surplus;
  }
  return KeptRow::of(whole);
}

}  // namespace gumbelspec
