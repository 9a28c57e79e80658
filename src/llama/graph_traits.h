// What a model's graph does with the rows of logits that a pass asks for, read from the graph.
#ifndef GUMBELSPEC_SRC_LLAMA_GRAPH_TRAITS_H_
#define GUMBELSPEC_SRC_LLAMA_GRAPH_TRAITS_H_

#include <cstddef>

#include "llama.h"

namespace gumbelspec::internal {

// llama.cpp copies as many rows as were asked for from the beginning of what the graph gives, and
// takes it for granted that these are the rows of the tokens that asked, all made alike. Not every
// graph of v0.5.0 is so (cogvlm, chameleon); these are found by their form, not by name.
struct GraphTraits {
  std::size_t n_logits = 0;  // of one row; 0: the graph has no logits (an embedding model)
  // The rows of all tokens of the pass, asked for or not: a pass has to ask for all.
  bool gives_all_rows = false;
  // The graph writes logits of its own over those of the tokens [begin, end), in the first row
  // only, and cannot be built for a pass without rows. Empty: it does not.
  std::size_t first_row_begin = 0;
  std::size_t first_row_end = 0;

  [[nodiscard]] bool has_first_row_only() const { return first_row_begin != first_row_end; }
};

// Requires: a context with a memory. Cost: a graph is built, nothing is computed.
GraphTraits read_graph_traits(llama_context* context);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_GRAPH_TRAITS_H_
