// The body of the wide versions. Included by vector_kernels_avx2.cc and _avx512.cc, after these
// have defined Wide: the vector types, their number of lanes and a multiplication.
//   Wide::F, U, I     kLanes 32-bit lanes: float, unsigned, signed
//   Wide::U64         kLanes / 2 64-bit lanes
//   Wide::to_float, word_to_float, fma, any_above   as ScalarLanes has them
//   Wide::multiply    U64 x U64 -> U64, of the lower halves of the lanes
//   Wide::any_below   whether a word is below a limit
//   Wide::largest     the largest of the lanes, none of which is NaN
//   Wide::Half, D, Q  kLanes / 2 lanes: float, double, unsigned 64-bit
//   Wide::list_between   the numbers of the lanes with least <= x <= most, from `first` on; may
//                     write kLanes of them. Returns how many.
//   Wide::first_tokens, last_tokens   the words of the blocks in the order of the tokens
#ifndef GUMBELSPEC_CORE_VECTOR_KERNELS_INC_H_
#define GUMBELSPEC_CORE_VECTOR_KERNELS_INC_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "src/core/gumbel_math.h"
#include "src/core/mass_math.h"
#include "src/core/softmax_math.h"
#include "src/core/vector_kernels.h"

namespace gumbelspec {
namespace {

constexpr std::size_t kLanes = Wide::kLanes;

// Unaligned loads and stores that the compiler turns into one instruction.
template <class V>
inline V load(const float* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
inline void store(const V& v, float* p) {
  __builtin_memcpy(p, &v, sizeof v);
}

// The four words of a block in each 64-bit lane, in its lower half; the upper half is garbage.
struct Blocks {
  Wide::U64 words[4];
};

// Source: Philox4x32-10, Salmon et al., SC 2011 (constants and key schedule).
inline Blocks philox(NoiseKey key, Position position, Wide::U64 block) {
  using U64 = Wide::U64;
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53U;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57U;
  U64 c0 = block;  // of which the multiplication ignores the upper half, as of the others
  U64 c1 = U64{} + static_cast<std::uint32_t>(position);
  U64 c2 = U64{} + key.stream;
  U64 c3 = U64{} + static_cast<std::uint64_t>(2 * key.use);
  auto k0 = static_cast<std::uint32_t>(key.seed);
  auto k1 = static_cast<std::uint32_t>(key.seed >> 32U);
  for (int round = 0; round < 10; ++round) {
    const U64 p0 = Wide::multiply(c0, U64{} + kMultiplier0);
    const U64 p1 = Wide::multiply(c2, U64{} + kMultiplier1);
    c0 = (p1 >> 32U) ^ c1 ^ k0;
    c1 = p1;
    c2 = (p0 >> 32U) ^ c3 ^ k1;
    c3 = p0;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return {{c0, c1, c2, c3}};
}

struct WordPair {
  Wide::U first, second;  // kLanes tokens each
};

// The words of the 2 kLanes tokens from 4 * first_block on.
inline WordPair philox_words(NoiseKey key, Position position, std::uint32_t first_block) {
  using U64 = Wide::U64;
  constexpr std::uint64_t kLow = 0xFFFFFFFFU;
  const Blocks blocks = philox(key, position, Wide::lane_numbers() + first_block);
  const U64 words01 = (blocks.words[0] & kLow) | (blocks.words[1] << 32U);
  const U64 words23 = (blocks.words[2] & kLow) | (blocks.words[3] << 32U);
  return {Wide::first_tokens(words01, words23), Wide::last_tokens(words01, words23)};
}

// Writes the noise of kLanes tokens; the few of the tail one by one.
inline void noise_of_words(NoiseKey key, Position position, std::uint32_t first_token,
                           const Wide::U& words, float* out) {
  store(gumbel_of_word<Wide>(words), out);
  if (!Wide::any_below(words, kTailBelow)) return;
  for (std::uint32_t i = 0; i < kLanes; ++i) {
    if (words[i] < kTailBelow) out[i] = tail_noise(key, position, first_token + i, words[i]);
  }
}

void fill_wide(NoiseKey key, Position position, float* out, std::size_t n) {
  constexpr std::size_t kStep = 2 * kLanes;
  float rest[kStep];
  for (std::size_t first = 0; first < n; first += kStep) {
    const auto token = static_cast<std::uint32_t>(first);
    const bool is_whole = first + kStep <= n;
    float* to = is_whole ? out + first : rest;
    const WordPair words = philox_words(key, position, token / 4);
    noise_of_words(key, position, token, words.first, to);
    noise_of_words(key, position, token + kLanes, words.second, to + kLanes);
    if (!is_whole) __builtin_memcpy(out + first, rest, (n - first) * sizeof(float));
  }
}

// The words of any kLanes tokens, a block for each.
inline Wide::U words_of(NoiseKey key, Position position, const TokenId* tokens) {
  using U64 = Wide::U64;
  constexpr std::size_t kBlocks = kLanes / 2;
  std::uint32_t words[kLanes];
  for (std::size_t first = 0; first < kLanes; first += kBlocks) {
    std::uint64_t ids[kBlocks];
    for (std::size_t j = 0; j < kBlocks; ++j) {
      ids[j] = static_cast<std::uint32_t>(tokens[first + j]);
    }
    U64 id;
    __builtin_memcpy(&id, ids, sizeof id);
    const Blocks blocks = philox(key, position, id >> 2U);
    const U64 is_odd = U64{} - (id & 1U);
    const U64 is_late = U64{} - ((id >> 1U) & 1U);
    const U64 early = (blocks.words[0] & ~is_odd) | (blocks.words[1] & is_odd);
    const U64 late = (blocks.words[2] & ~is_odd) | (blocks.words[3] & is_odd);
    const U64 word = (early & ~is_late) | (late & is_late);
    __builtin_memcpy(ids, &word, sizeof ids);
    for (std::size_t j = 0; j < kBlocks; ++j) words[first + j] = static_cast<std::uint32_t>(ids[j]);
  }
  Wide::U result;
  __builtin_memcpy(&result, words, sizeof result);
  return result;
}

void noise_of_wide(NoiseKey key, Position position, const TokenId* tokens, float* out,
                   std::size_t n) {
  TokenId some[kLanes] = {};
  float noise[kLanes];
  for (std::size_t first = 0; first < n; first += kLanes) {
    const std::size_t n_here = n - first < kLanes ? n - first : kLanes;
    __builtin_memcpy(some, tokens + first, n_here * sizeof(TokenId));
    const Wide::U words = words_of(key, position, some);
    store(gumbel_of_word<Wide>(words), noise);
    if (Wide::any_below(words, kTailBelow)) {
      for (std::size_t i = 0; i < kLanes; ++i) {
        if (words[i] >= kTailBelow) continue;
        noise[i] = tail_noise(key, position, static_cast<std::uint32_t>(some[i]), words[i]);
      }
    }
    __builtin_memcpy(out + first, noise, n_here * sizeof(float));
  }
}

float max_wide(const ScoreSpan& scores) {
  using F = Wide::F;
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  const float* const a = scores.a;
  const float* const b = scores.b;
  // Four independent maxima hide the latency of the comparison.
  F best[4] = {F{} + kLowest, F{} + kLowest, F{} + kLowest, F{} + kLowest};
  std::size_t i = 0;
  for (; i + 4 * kLanes <= scores.n; i += 4 * kLanes) {
    for (std::size_t j = 0; j < 4; ++j) {
      const F x = load<F>(a + i + j * kLanes) * scores.factor;
      const F sum = b == nullptr ? x : x + load<F>(b + i + j * kLanes);
      best[j] = sum > best[j] ? sum : best[j];
    }
  }
  best[0] = best[1] > best[0] ? best[1] : best[0];
  best[2] = best[3] > best[2] ? best[3] : best[2];
  float result = Wide::largest(best[2] > best[0] ? best[2] : best[0]);
  for (; i < scores.n; ++i) {
    const float scaled = a[i] * scores.factor;
    const float sum = b == nullptr ? scaled : scaled + b[i];
    result = sum > result ? sum : result;
  }
  return result;
}

float block_maxima_wide(const ScoreSpan& scores, std::size_t block, float* out) {
  float best = -std::numeric_limits<float>::infinity();
  for (std::size_t first = 0; first < scores.n; first += block) {
    const std::size_t n = scores.n - first < block ? scores.n - first : block;
    const float here = max_wide(
        {scores.a + first, scores.factor, scores.b == nullptr ? nullptr : scores.b + first, n});
    *out++ = here;
    best = here > best ? here : best;
  }
  return best;
}

void softmax_sums_wide(const ScoreSpan& scores, const SoftmaxRange& range, float* out) {
  softmax_sums_of<Wide, kLanes>(scores, range, out);
}

// In float by groups, in which a lane adds up ten numbers at most.
double exp_sum_wide(const float* a, float largest, std::size_t n) {
  using F = Wide::F;
  using D = Wide::D;
  constexpr std::size_t kAtOnce = 4;  // hides the latency of the additions
  constexpr std::size_t kGroup = 8;
  const F least = F{} - 40.0F;
  const F zero = F{};
  const auto weight_of = [&](F weight) {
    const F x = weight - largest;
    return x > least ? exp_of_negative<Wide>(x > least ? x : least) : zero;
  };
  D sums[2] = {};
  const auto add = [&sums](F x) {
    Wide::Half halves[2];
    __builtin_memcpy(halves, &x, sizeof halves);
    sums[0] += __builtin_convertvector(halves[0], D);
    sums[1] += __builtin_convertvector(halves[1], D);
  };
  std::size_t i = 0;
  for (; i + kGroup * kAtOnce * kLanes <= n; i += kGroup * kAtOnce * kLanes) {
    F group[kAtOnce] = {};
    for (std::size_t g = 0; g < kGroup; ++g) {
      for (std::size_t j = 0; j < kAtOnce; ++j) {
        group[j] = group[j] + weight_of(load<F>(a + i + (g * kAtOnce + j) * kLanes));
      }
    }
    add((group[0] + group[1]) + (group[2] + group[3]));
  }
  for (; i + kLanes <= n; i += kLanes) add(weight_of(load<F>(a + i)));
  if (i < n) {
    float rest[kLanes];
    for (float& x : rest) x = -std::numeric_limits<float>::infinity();
    __builtin_memcpy(rest, a + i, (n - i) * sizeof(float));
    add(weight_of(load<F>(rest)));
  }
  double sum = 0.0;
  for (std::size_t j = 0; j < kLanes / 2; ++j) sum += sums[0][j] + sums[1][j];
  return sum;
}

// The masses of kLanes / 2 weights.
inline Wide::Q masses_at(const float* from, double largest) {
  Wide::Half weights;
  __builtin_memcpy(&weights, from, sizeof weights);
  return mass_of_difference<Wide>(__builtin_convertvector(weights, Wide::D) - largest);
}

void masses_wide(const float* a, float largest, std::size_t n, std::uint64_t* out) {
  constexpr std::size_t kHalf = kLanes / 2;
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Wide::Q first = masses_at(a + i, static_cast<double>(largest));
    const Wide::Q second = masses_at(a + i + kHalf, static_cast<double>(largest));
    __builtin_memcpy(out + i, &first, sizeof first);
    __builtin_memcpy(out + i + kHalf, &second, sizeof second);
  }
  for (; i < n; ++i) out[i] = mass_of(a[i], largest);
}

void mass_sums_wide(const float* a, float largest, float limit, std::size_t n, std::uint64_t* out) {
  using D = Wide::D;
  using Q = Wide::Q;
  constexpr std::size_t kHalf = kLanes / 2;
  const Q none = {};
  Q all = {};
  Q above = {};
  std::size_t i = 0;
  for (; i + kHalf <= n; i += kHalf) {
    Wide::Half weights;
    __builtin_memcpy(&weights, a + i, sizeof weights);
    const D exact = __builtin_convertvector(weights, D);
    const Q mass = mass_of_difference<Wide>(exact - static_cast<double>(largest));
    all += mass;
    above += exact > D{} + static_cast<double>(limit) ? mass : none;
  }
  out[0] = out[1] = 0;
  for (std::size_t j = 0; j < kHalf; ++j) {
    out[0] += all[j];
    out[1] += above[j];
  }
  for (; i < n; ++i) {
    const std::uint64_t mass = mass_of(a[i], largest);
    out[0] += mass;
    out[1] += a[i] > limit ? mass : 0;
  }
}

std::size_t collect_wide(const float* a, std::size_t first, std::size_t n, float least, float most,
                         TokenId* out) {
  std::size_t n_listed = 0;
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    n_listed += Wide::list_between(load<Wide::F>(a + i), least, most,
                                   static_cast<std::uint32_t>(first + i), out + n_listed);
  }
  for (; i < n; ++i) {
    if (a[i] >= least && a[i] <= most) out[n_listed++] = static_cast<TokenId>(first + i);
  }
  return n_listed;
}

std::size_t keep_from_wide(const float* in, float least, float* out, std::size_t n) {
  using F = Wide::F;
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  const F lowest = F{} + kLowest;
  Wide::I equal = {};  // minus their number; a lane is met far less than 2^31 times
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const F x = load<F>(in + i);
    equal += x == F{} + least;
    store(x >= F{} + least ? x : lowest, out + i);
  }
  std::size_t n_equal = 0;
  for (std::size_t j = 0; j < kLanes; ++j) n_equal += static_cast<std::size_t>(-equal[j]);
  for (; i < n; ++i) {
    n_equal += in[i] == least ? 1U : 0U;
    // NOLINTNEXTLINE(bugprone-narrowing-conversions): both are floats
    out[i] = in[i] >= least ? in[i] : kLowest;
  }
  return n_equal;
}

void keep_allowed_wide(const float* in, const std::uint32_t* allowed, float* out, std::size_t n) {
  using F = Wide::F;
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  const F lowest = F{} + kLowest;
  Wide::U bit_of_lane;
  for (std::size_t j = 0; j < kLanes; ++j) bit_of_lane[j] = 1U << j;
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Wide::U bits = (Wide::U{} + (allowed[i / 32] >> (i % 32))) & bit_of_lane;
    store(bits != Wide::U{} ? load<F>(in + i) : lowest, out + i);
  }
  // NOLINTNEXTLINE(bugprone-narrowing-conversions): both are floats
  for (; i < n; ++i) out[i] = ((allowed[i / 32] >> (i % 32)) & 1U) != 0 ? in[i] : kLowest;
}

void scale_wide(const float* in, float factor, float* out, std::size_t n) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(load<Wide::F>(in + i) * factor, out + i);
  for (; i < n; ++i) out[i] = in[i] * factor;
}

constexpr VectorKernels kWideKernels = {fill_wide,         noise_of_wide,  max_wide,
                                        block_maxima_wide, scale_wide,     softmax_sums_wide,
                                        exp_sum_wide,      masses_wide,    mass_sums_wide,
                                        collect_wide,      keep_from_wide, keep_allowed_wide};

}  // namespace
}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_VECTOR_KERNELS_INC_H_
