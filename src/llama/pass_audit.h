// What a pass of a context is made of, which device computes each operation, and whether a token's
// numbers can then depend on what else is in the pass.
#ifndef GUMBELSPEC_SRC_LLAMA_PASS_AUDIT_H_
#define GUMBELSPEC_SRC_LLAMA_PASS_AUDIT_H_

#include <cstddef>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "llama.h"
#include "src/llama/devices.h"

namespace gumbelspec::internal {

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
