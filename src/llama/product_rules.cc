#include "src/llama/product_rules.h"

#include <algorithm>
#include <array>

namespace gumbelspec::internal {
namespace {

// Type, plain, repacked, expert, repacked expert, grid. What ggml does not repack is false there.
constexpr std::array<ProductRule, 28> kRules = {{
    {GGML_TYPE_F32, false, false, true, false, false},
    {GGML_TYPE_F16, false, false, true, false, false},
    {GGML_TYPE_BF16, false, false, true, false, false},
    {GGML_TYPE_Q4_0, true, true, true, true, false},
    {GGML_TYPE_MXFP4, true, true, true, true, false},
    {GGML_TYPE_IQ4_NL, false, true, true, true, false},
    {GGML_TYPE_Q2_K, true, false, true, true, false},
    {GGML_TYPE_Q4_K, true, false, true, true, false},
    {GGML_TYPE_Q8_0, true, false, true, false, false},
    {GGML_TYPE_Q4_1, true, false, true, false, false},
    {GGML_TYPE_Q5_0, true, false, true, false, false},
    {GGML_TYPE_Q5_1, true, false, true, false, false},
    {GGML_TYPE_Q3_K, true, false, true, false, false},
    {GGML_TYPE_Q5_K, true, false, true, false, false},
    {GGML_TYPE_Q6_K, true, false, true, false, false},
    {GGML_TYPE_TQ1_0, true, false, true, false, false},
    {GGML_TYPE_TQ2_0, true, false, true, false, false},
    {GGML_TYPE_NVFP4, true, false, true, false, false},
    {GGML_TYPE_Q1_0, true, false, true, false, false},
    {GGML_TYPE_Q2_0, true, false, true, false, false},
    {GGML_TYPE_IQ1_S, false, false, false, false, true},
    {GGML_TYPE_IQ1_M, false, false, false, false, true},
    {GGML_TYPE_IQ2_XXS, false, false, false, false, true},
    {GGML_TYPE_IQ2_XS, false, false, false, false, true},
    {GGML_TYPE_IQ2_S, false, false, false, false, true},
    {GGML_TYPE_IQ3_XXS, false, false, false, false, true},
    {GGML_TYPE_IQ3_S, false, false, false, false, true},
    {GGML_TYPE_IQ4_XS, false, false, false, false, true},
}};

}  // namespace

std::span<const ProductRule> product_rules() { return kRules; }

const ProductRule* product_rule(ggml_type type) {
  const auto found = std::find_if(kRules.begin(), kRules.end(),
                                  [type](const ProductRule& rule) { return rule.type == type; });
  return found == kRules.end() ? nullptr : &*found;
}

}  // namespace gumbelspec::internal
