// Which of the instruction sets that this build carries the loops over a vocabulary use. The bits
// are the same with all of them.
#ifndef GUMBELSPEC_SIMD_H_
#define GUMBELSPEC_SIMD_H_

#include <string_view>

#include "gumbelspec/noise.h"

namespace gumbelspec {

// "scalar", "avx2" or "avx512".
[[nodiscard]] std::string_view simd_name(Simd simd);

// best_simd(), or a narrower one whose name the environment variable GUMBELSPEC_SIMD holds, for
// tests. Read once.
// Throws: Error{invalid_option} if it holds another name, or one wider than best_simd().
[[nodiscard]] Simd simd_in_use();

}  // namespace gumbelspec

#endif  // GUMBELSPEC_SIMD_H_
