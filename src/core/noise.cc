#include "gumbelspec/noise.h"

#include <Random123/philox.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "gumbelspec/error.h"
#include "gumbelspec/simd.h"
#include "src/core/gumbel_math.h"
#include "src/core/vector_kernels.h"

namespace gumbelspec {
namespace {

enum class BlockKind : std::uint32_t { body = 0, tail = 1 };

r123::Philox4x32::ctr_type block(NoiseKey key, Position position, std::uint32_t i, BlockKind kind) {
  const r123::Philox4x32::ctr_type counter = {{i, static_cast<std::uint32_t>(position), key.stream,
                                               2 * key.use + static_cast<std::uint32_t>(kind)}};
  const r123::Philox4x32::key_type words = {
      {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32U)}};
  return r123::Philox4x32()(counter, words);
}

float noise_of_word(NoiseKey key, Position position, std::uint32_t token, std::uint32_t word) {
  return word < kTailBelow ? tail_noise(key, position, token, word)
                           : gumbel_of_word<ScalarLanes>(word);
}

}  // namespace

void fill_noise_scalar(NoiseKey key, Position position, float* out, std::size_t n) {
  for (std::size_t first = 0; first < n; first += 4) {
    const auto words = block(key, position, static_cast<std::uint32_t>(first / 4), BlockKind::body);
    for (std::size_t i = 0; i < 4 && first + i < n; ++i) {
      out[first + i] =
          noise_of_word(key, position, static_cast<std::uint32_t>(first + i), words[i]);
    }
  }
}

void noise_of_scalar(NoiseKey key, Position position, const TokenId* tokens, float* out,
                     std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = noise_at(key, position, tokens[i]);
}

float tail_noise(NoiseKey key, Position position, std::uint32_t token, std::uint32_t word) {
  const auto more = block(key, position, token / 4, BlockKind::tail);
  return gumbel_of_tail(word, more[token % 4]);
}

Simd best_simd() {
#ifdef GUMBELSPEC_X86_SIMD
  if (static_cast<bool>(__builtin_cpu_supports("avx512f")) &&
      static_cast<bool>(__builtin_cpu_supports("avx512dq")) &&
      static_cast<bool>(__builtin_cpu_supports("avx512bw")) &&
      static_cast<bool>(__builtin_cpu_supports("avx512vl"))) {
    return Simd::avx512;
  }
  if (static_cast<bool>(__builtin_cpu_supports("avx2")) &&
      static_cast<bool>(__builtin_cpu_supports("fma")))
    return Simd::avx2;
#endif
  return Simd::scalar;
}

std::string_view simd_name(Simd simd) {
  constexpr std::array<std::string_view, 3> kNames = {"scalar", "avx2", "avx512"};
  return kNames.at(static_cast<std::size_t>(simd));
}

Simd simd_in_use() {
  static const Simd kChosen = [] {
    const char* value = std::getenv("GUMBELSPEC_SIMD");
    const std::string_view name = value == nullptr ? "" : value;
    if (name.empty()) return best_simd();
    for (const Simd simd : {Simd::scalar, Simd::avx2, Simd::avx512}) {
      if (name == simd_name(simd) && simd <= best_simd()) return simd;
    }
    throw Error(ErrorCode::invalid_option,
                "GUMBELSPEC_SIMD is '" + std::string(name) +
                    "'; give scalar, avx2 or avx512, on this processor and in this build at most " +
                    std::string(simd_name(best_simd())));
  }();
  return kChosen;
}

float noise_at(NoiseKey key, Position position, TokenId token) {
  const auto t = static_cast<std::uint32_t>(token);
  return noise_of_word(key, position, t, block(key, position, t / 4, BlockKind::body)[t % 4]);
}

double uniform_at(NoiseKey key, Position position, std::uint32_t i) {
  const auto words = block(key, position, i, BlockKind::body);
  const std::uint64_t both = (static_cast<std::uint64_t>(words[0]) << 32U) | words[1];
  // Below 1 even after rounding: ratios of 1 must always be accepted.
  constexpr double kBelowOne = 1.0 - 0x1p-53;
  return std::min((static_cast<double>(both) + 0.5) * 0x1p-64, kBelowOne);
}

void fill_noise(NoiseKey key, Position position, std::span<float> out) {
  vector_kernels().fill_noise(key, position, out.data(), out.size());
}

void fill_noise(NoiseKey key, Position position, std::span<float> out, Simd simd) {
  vector_kernels(simd).fill_noise(key, position, out.data(), out.size());
}

void noise_of(NoiseKey key, Position position, std::span<const TokenId> tokens,
              std::span<float> out) {
  if (out.size() < tokens.size()) throw std::logic_error("noise_of: too little room");
  vector_kernels().noise_of(key, position, tokens.data(), out.data(), tokens.size());
}

}  // namespace gumbelspec
