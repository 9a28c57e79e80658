// What a token weighs against the likeliest one, as an integer: sums of integers do not depend on
// their order, so every instruction set and every way to add up finds the same nucleus. As
// gumbel_math.h: the same operations in the same order everywhere, and internal linkage.
#ifndef GUMBELSPEC_CORE_MASS_MATH_H_
#define GUMBELSPEC_CORE_MASS_MATH_H_

#include <cstddef>
#include <cstdint>

namespace gumbelspec {
namespace {

// The mass of the likeliest token; so many tokens can be added up in 64 bits.
constexpr int kMassBits = 42;
constexpr std::size_t kMostMasses = std::size_t{1} << 21U;
// At x <= -30 it is 0: e^-30 2^42 is below 1/2.
constexpr double kLeastOfMass = -30.0;

struct ScalarMassLanes {
  using D = double;
  using Q = std::uint64_t;
};

// exp(x) 2^42, rounded to an integer, for x <= 0; 0 of what is not a number. The error of the
// exponential, 1e-14 of it, is far below the rounding. No operations are fused, so processors
// without fused ones are not slow here.
template <class L>
inline typename L::Q mass_of_difference(typename L::D x) {
  using D = typename L::D;
  using Q = typename L::Q;
  constexpr double kToInteger = 6755399441055744.0;  // 1.5 * 2^52: adding it leaves the integer
  const D zero = D{};
  const Q none = Q{};
  const D shifted = x * 1.4426950408889634 + kToInteger;
  const D k = shifted - kToInteger;
  // The first part of log 2 has 32 bits, so that k times it is exact.
  const D r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
  // The Taylor series to r^11, |r| <= log(2) / 2: what is left out is below 7e-15. In pairs
  // (Estrin), so that the processor overlaps them.
  const D r2 = r * r;
  const D r4 = r2 * r2;
  const D p01 = r + 1.0;
  const D p23 = r * (1.0 / 6.0) + 0.5;
  const D p45 = r * (1.0 / 120.0) + 1.0 / 24.0;
  const D p67 = r * (1.0 / 5040.0) + 1.0 / 720.0;
  const D p89 = r * (1.0 / 362880.0) + 1.0 / 40320.0;
  const D p1011 = r * (1.0 / 39916800.0) + 1.0 / 3628800.0;
  const D p03 = p23 * r2 + p01;
  const D p47 = p67 * r2 + p45;
  const D p811 = p1011 * r2 + p89;
  const D y = (p811 * r4 + p47) * r4 + p03;
  const Q power = (__builtin_bit_cast(Q, shifted) + static_cast<std::uint64_t>(kMassBits)) << 52U;
  const D scaled = __builtin_bit_cast(D, __builtin_bit_cast(Q, y) + power);
  const Q mass =
      __builtin_bit_cast(Q, scaled + kToInteger) - __builtin_bit_cast(Q, zero + kToInteger);
  return x > zero + kLeastOfMass ? mass : none;
}

inline std::uint64_t mass_of(float weight, float largest) {
  return mass_of_difference<ScalarMassLanes>(static_cast<double>(weight) -
                                             static_cast<double>(largest));
}

}  // namespace
}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_MASS_MATH_H_
