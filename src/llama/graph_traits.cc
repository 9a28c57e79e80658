#include "src/llama/graph_traits.h"

#include <cstdint>
#include <cstring>

#include "ggml.h"

// llama.cpp has it in src/llama-ext.h, which is not installed. The linker compares the types.
LLAMA_API ggml_cgraph* llama_graph_reserve(llama_context* ctx, std::uint32_t n_tokens,
                                           std::uint32_t n_seqs, std::uint32_t n_outputs);

namespace gumbelspec::internal {
namespace {

// The byte offset that ggml_set_1d() was given; see ggml_set_impl().
std::size_t offset_of_set(const ggml_tensor* set) {
  std::int32_t offset = 0;
  std::memcpy(&offset, set->op_params + 3, sizeof offset);
  return static_cast<std::size_t>(offset);
}

}  // namespace

GraphTraits read_graph_traits(llama_context* context) {
  GraphTraits traits;
  // Two tokens, of which one asks. llama.cpp gives the logits the same name in all architectures
  // but plamo3, whose logits, like all others', are the graph's last product.
  ggml_cgraph* graph = llama_graph_reserve(context, 2, 1, 1);
  const ggml_tensor* logits =
      graph == nullptr ? nullptr : ggml_graph_get_tensor(graph, "result_output");
  if (logits == nullptr && graph != nullptr && ggml_graph_n_nodes(graph) > 0) {
    const ggml_tensor* last = ggml_graph_node(graph, -1);
    if (last->op == GGML_OP_MUL_MAT) logits = last;
  }
  if (logits == nullptr) return traits;
  traits.n_logits = static_cast<std::size_t>(logits->ne[0]);
  traits.gives_all_rows = logits->ne[1] > 1;
  if (logits->op == GGML_OP_SET && logits->src[1] != nullptr && ggml_is_vector(logits->src[1])) {
    traits.first_row_begin = offset_of_set(logits) / ggml_element_size(logits);
    traits.first_row_end = traits.first_row_begin + static_cast<std::size_t>(logits->src[1]->ne[0]);
  }
  return traits;
}

}  // namespace gumbelspec::internal
