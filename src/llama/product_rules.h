// Which of ggml's products of the CPU depend on how many columns there are.
#ifndef GUMBELSPEC_SRC_LLAMA_PRODUCT_RULES_H_
#define GUMBELSPEC_SRC_LLAMA_PRODUCT_RULES_H_

#include <span>

#include "ggml.h"

namespace gumbelspec::internal {

// Set in the environment, it switches off the panels that ggml multiplies with from 8 columns on.
inline constexpr const char* kNoIqPanels = "GGML_NO_IQ_PANEL";

// How ggml's CPU code of v0.5.0 multiplies with matrices of a type: whether a column's product is
// the same bits however many columns there are. This is the one place that knows it;
// tests/llama/pass_audit_test.cc multiplies to see whether it is so.
struct ProductRule {
  ggml_type type;
  bool plain;            // MUL_MAT, weights as they are in the file
  bool repacked;         // MUL_MAT, weights in the order that ggml's loader gives them
  bool expert;           // MUL_MAT_ID, weights as they are
  bool repacked_expert;  // MUL_MAT_ID, repacked
  bool is_grid;          // plain and expert hold if kNoIqPanels is in the environment
};
[[nodiscard]] std::span<const ProductRule> product_rules();
// Null: nothing is known.
[[nodiscard]] const ProductRule* product_rule(ggml_type type);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_PRODUCT_RULES_H_
