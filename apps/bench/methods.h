// Which methods, shapes and temperatures a benchmark compares.
#ifndef GUMBELSPEC_APPS_BENCH_METHODS_H_
#define GUMBELSPEC_APPS_BENCH_METHODS_H_

#include <string>
#include <string_view>
#include <vector>

#include "gumbelspec/method.h"

namespace gumbelspec::apps::bench {

// "ar,gumbel-beam:width=4,length=5;rejection:length=3": a semicolon ends a method, a comma does if
// no option of the same method follows it. Of equal ones the first counts.
// Throws: Error{invalid_option}.
[[nodiscard]] std::vector<Method> parse_methods(std::string_view text);

// "0,0.6,1". Throws: Error{invalid_option}.
[[nodiscard]] std::vector<float> parse_temperatures(std::string_view text);

// "gumbel-beam".
[[nodiscard]] std::string method_name(const Method& method);

// Everything that makes the method's trees what they are, in the spelling of --method, also where
// it is the default: "width=4,length=5". Empty for ar.
[[nodiscard]] std::string shape_text(const Method& method);

[[nodiscard]] bool is_default_shape(const Method& method);

// What --sweep tries: chains of 1 to 8, beams and trees from 4 nodes to 64, the planned tree.
// is_cheap: also chains of 10, 12 and 16, for costs at which long drafts may pay.
[[nodiscard]] std::vector<Method> sweep_shapes(MethodKind kind, bool is_cheap = false);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_METHODS_H_
