// What a pass of a context is made of, which device computes each operation, and whether a token's
// numbers can then depend on what else is in the pass.
#ifndef GUMBELSPEC_SRC_LLAMA_PASS_AUDIT_H_
#define GUMBELSPEC_SRC_LLAMA_PASS_AUDIT_H_

#include <span>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml.h"
#include "gumbelspec/llama_model.h"
#include "llama.h"
#include "src/llama/devices.h"

namespace gumbelspec::internal {

// How ggml's CPU code of v0.5.0 multiplies with matrices of a type: whether a column's product is
// the same bits however many columns there are. This is the one place that knows it;
// tests/llama/pass_audit_test.cc multiplies to see whether it is so.
struct ProductRule {
  ggml_type type;
  bool plain;            // MUL_MAT, weights as they are in the file
  bool repacked;         // MUL_MAT, weights in the order that ggml's loader gives them
  bool expert;           // MUL_MAT_ID, weights as they are
  bool repacked_expert;  // MUL_MAT_ID, repacked
  bool is_grid;          // plain and expert hold if GGML_NO_IQ_PANEL is in the environment
};
[[nodiscard]] std::span<const ProductRule> product_rules();
// Null: nothing is known.
[[nodiscard]] const ProductRule* product_rule(ggml_type type);

// Of the context, what the operations alone do not tell.
struct PassFacts {
  // Accelerators in ggml's list compute independently of the pass and of the order of the cells.
  bool trusts_accelerators = false;
  // Keys and values have types for which ggml's CPU attention has one method for all passes, and
  // the cells of a text are visited in the order of positions.
  bool has_steady_attention = false;
  // Every text is decoded by itself, one token after the other, so there is one kind of pass only.
  bool decodes_plainly = false;
  std::size_t max_pass_nodes = 1;
  std::vector<Device> devices;  // that the layers may lie on
};

// Builds the graphs of a pass over one token and over several, without computing them.
// Requires: no pass is running; the context has a cache.
[[nodiscard]] PassGuarantee audit_passes(llama_context* context, const PassFacts& facts);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_PASS_AUDIT_H_
