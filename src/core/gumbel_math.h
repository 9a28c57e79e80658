// Word -> exponential -> Gumbel, written once for a number and for a vector of numbers, so that
// every instruction set does the same IEEE operations in the same order. Operations are fused only
// where it says fma (-ffp-contract=off), and no library logarithm is called: both would differ
// between machines.
//
// This file is compiled several times with different instruction sets. Everything in it has
// internal linkage; a function that the linker could merge might need instructions that the
// processor does not have.
#ifndef GUMBELSPEC_CORE_GUMBEL_MATH_H_
#define GUMBELSPEC_CORE_GUMBEL_MATH_H_

#include <cstdint>

namespace gumbelspec {
namespace {

// A word below this is in the tail and gets 32 more bits: with probability 2^-12, and from there
// on the spacing of v is at most 2^-20 of v.
constexpr std::uint32_t kTailBelow = 1U << 20U;

// F: float numbers, U and I: as many 32-bit words, unsigned and signed. Conversions give the
// nearest float; fma(a, b, c) is a b + c with one rounding; any_above: whether a number is.
struct ScalarLanes {
  using F = float;
  using U = std::uint32_t;
  using I = std::int32_t;
  static F to_float(I i) { return static_cast<F>(i); }
  static F word_to_float(U w) { return static_cast<F>(w); }
  static F fma(F a, F b, F c) { return __builtin_fmaf(a, b, c); }
  static bool any_above(F x, F limit) { return x > limit; }
};

// log(2^e (1 + f)) for 1 + f in [sqrt(1/2), sqrt(2)]. Relative error about 1e-7, also for small f.
// Source: the polynomial of logf in the Cephes library (S. Moshier).
template <class L>
inline typename L::F log_of_parts(typename L::F e, typename L::F f) {
  using F = typename L::F;
  const F z = f * f;
  // By pairs of coefficients (Estrin), not one after the other: the processor overlaps them.
  const F p01 = L::fma(f, F{} - 2.4999993993e-1F, F{} + 3.3333331174e-1F);
  const F p23 = L::fma(f, F{} - 1.6668057665e-1F, F{} + 2.0000714765e-1F);
  const F p45 = L::fma(f, F{} - 1.2420140846e-1F, F{} + 1.4249322787e-1F);
  const F p67 = L::fma(f, F{} - 1.1514610310e-1F, F{} + 1.1676998740e-1F);
  const F p0123 = L::fma(p23, z, p01);
  const F p4567 = L::fma(p67, z, p45);
  const F zz = z * z;
  const F p45678 = L::fma(zz, F{} + 7.0376836292e-2F, p4567);
  const F p = L::fma(p45678, zz, p0123);
  F y = L::fma(p, f * z, e * -2.12194440e-4F);
  y = L::fma(z, F{} - 0.5F, y);
  return L::fma(e, F{} + 0.693359375F, f + y);
}

// Splits a positive normal x into 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)).
template <class L>
inline void split(typename L::F x, typename L::F& e, typename L::F& f) {
  using U = typename L::U;
  using I = typename L::I;
  constexpr std::uint32_t kSqrtHalf = 0x3F3504F3U;  // the float sqrt(1/2), as bits
  const U bits = __builtin_bit_cast(U, x);
  const I exponent = __builtin_bit_cast(I, bits - kSqrtHalf) >> 23;
  e = L::to_float(exponent);
  const U mantissa = bits - (__builtin_bit_cast(U, exponent) << 23U);
  f = __builtin_bit_cast(typename L::F, mantissa) - 1.0F;
}

template <class L>
inline typename L::F log_of(typename L::F x) {
  typename L::F e;
  typename L::F f;
  split<L>(x, e, f);
  return log_of_parts<L>(e, f);
}

// -log(-log(1 - v)), v = (w + 1/2) / 2^32. Where v is small, 1 - v would lose it, and the series is
// in v itself; elsewhere 1 - v = (~w + 1/2) / 2^32 is at least as well known as v.
template <class L>
inline typename L::F gumbel_of_word(typename L::U w) {
  using F = typename L::F;
  constexpr float kUnit = 1.0F / 4294967296.0F;
  const F v = L::fma(L::word_to_float(w), F{} + kUnit, F{} + 0.5F * kUnit);
  const F u = L::fma(L::word_to_float(~w), F{} + kUnit, F{} + 0.5F * kUnit);
  F e;
  F f;
  split<L>(u, e, f);
  // u is at least sqrt(1/2) where its exponent is 0.
  f = e == F{} ? -v : f;
  return -log_of<L>(-log_of_parts<L>(e, f));
}

// The same for a word of the tail, with 32 more bits: v = (w 2^32 + more + 1/2) / 2^64.
inline float gumbel_of_tail(std::uint32_t w, std::uint32_t more) {
  const std::uint64_t both = (static_cast<std::uint64_t>(w) << 32U) | more;
  constexpr double kUnit = 1.0 / 18446744073709551616.0;
  // In double, where 53 bits are more than enough and the conversion is the same everywhere.
  const auto v = static_cast<float>((static_cast<double>(both) + 0.5) * kUnit);
  return -log_of<ScalarLanes>(-log_of_parts<ScalarLanes>(0.0F, -v));
}

}  // namespace
}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_GUMBEL_MATH_H_
