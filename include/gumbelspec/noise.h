// Gumbel noise as a pure function of (seed, stream, position, token).
//
// The exactness of this library rests on this file: the target's token at a position is the argmax
// of log-weight + noise, and the draft searches with the same numbers. So the noise is part of the
// contract: a change of a single bit needs a new kNoiseVersion.
//
// Version 1. Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
// with key (seed low, seed high) and counter (token / 4, position, stream, 2 use + kind); lane
// token % 4 is the 32-bit word w. With v = (w + 1/2) / 2^32 in (0, 1), e = -log(1 - v) is Exp(1)
// and g = -log(e) is Gumbel(0, 1). Large g means small v, where 32 bits are coarse: if w <
// kTailBelow, the same lane of the block of kind 1 gives 32 more bits, v = (w 2^32 + w' + 1/2) /
// 2^64, so that tokens of probability far below 2^-32 win at the right rate. Logarithms are float32
// polynomials with every rounding step prescribed, so all instruction sets give the same bits.
#ifndef GUMBELSPEC_NOISE_H_
#define GUMBELSPEC_NOISE_H_

#include <cstdint>
#include <span>

#include "gumbelspec/types.h"

namespace gumbelspec {

inline constexpr int kNoiseVersion = 1;

struct NoiseKey {
  std::uint64_t seed = 0;
  std::uint32_t stream =
      0;  // independent noise for the same seed, e.g. the n-th choice of a request
  // Independent noise for another purpose, below 2^31. 0: the text's own; the others are for
  // methods that need more than one random number per token (docs/exactness.md).
  std::uint32_t use = 0;
};

enum class Simd { scalar, avx2, avx512 };

// The widest instruction set that this processor has and this build carries.
[[nodiscard]] Simd best_simd();

// g_position(token). The definition; fill_noise gives the same bits, faster.
[[nodiscard]] float noise_at(NoiseKey key, Position position, TokenId token);

// out[v] = noise_at(key, position, v) for v in [0, out.size()).
// Cost: about 1 ns per token with AVX-512.
// Throws: std::logic_error if `simd` is wider than best_simd().
void fill_noise(NoiseKey key, Position position, std::span<float> out);
void fill_noise(NoiseKey key, Position position, std::span<float> out, Simd simd);

// out[i] = noise_at(key, position, tokens[i]). Cost: about 5 ns per token with AVX-512.
// Throws: std::logic_error if out is shorter than tokens.
void noise_of(NoiseKey key, Position position, std::span<const TokenId> tokens,
              std::span<float> out);

// A uniform number in (0, 1), independent for every i; for a `use` that has no Gumbel noise. It has
// 64 random bits, as exact as a double can be, so that events of small probability occur at the
// right rate.
[[nodiscard]] double uniform_at(NoiseKey key, Position position, std::uint32_t i);

// Where a session's noise comes from. The library has one implementation (GumbelNoise); the
// interface exists so that the tests can put a wrong one in its place and see it caught.
class NoiseSource {
 public:
  virtual ~NoiseSource() = default;
  // Shape: out has n_vocab elements.
  virtual void fill(NoiseKey key, Position position, std::span<float> out) const = 0;
  // The same for a few tokens. Returns: whether the source can do that; if not, it is asked for
  // whole rows. Shape: tokens and out [n].
  virtual bool fill_listed(NoiseKey /*key*/, Position /*position*/,
                           std::span<const TokenId> /*tokens*/, std::span<float> /*out*/) const {
    return false;
  }
};

class GumbelNoise final : public NoiseSource {
 public:
  void fill(NoiseKey key, Position position, std::span<float> out) const override {
    fill_noise(key, position, out);
  }
  bool fill_listed(NoiseKey key, Position position, std::span<const TokenId> tokens,
                   std::span<float> out) const override {
    noise_of(key, position, tokens, out);
    return true;
  }
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_NOISE_H_
