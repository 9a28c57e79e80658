// The instruction set that the loops over a vocabulary use, out of those in this build. The results
// are the same bits with all of them.
#ifndef GUMBELSPEC_SIMD_H_
#define GUMBELSPEC_SIMD_H_

#include <string_view>

#include "gumbelspec/noise.h"

namespace gumbelspec {

// "scalar", "avx2" or "avx512".
[[nodiscard]] std::string_view simd_name(Simd simd);

// best_simd(), or, for tests, a narrower one that the environment variable GUMBELSPEC_SIMD names.
// The variable is read once.
// Throws: Error{invalid_option} if it names none of them, or one wider than best_simd().
[[nodiscard]] Simd simd_in_use();

}  // namespace gumbelspec

#endif  // GUMBELSPEC_SIMD_H_
