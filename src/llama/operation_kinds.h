// What ggml's operations do with the rows of a pass.
#ifndef GUMBELSPEC_SRC_LLAMA_OPERATION_KINDS_H_
#define GUMBELSPEC_SRC_LLAMA_OPERATION_KINDS_H_

#include <string>

#include "ggml-backend.h"
#include "ggml.h"

namespace gumbelspec::internal {

// The tensor that t is a view of, or t.
[[nodiscard]] const ggml_tensor* owner(const ggml_tensor* t);
[[nodiscard]] bool is_weight(const ggml_tensor* t);

// It is there for the graph only: a reshape, a view.
[[nodiscard]] bool moves_nothing(const ggml_tensor* op);
// It moves numbers and changes none; some graphs do so for several tokens only.
[[nodiscard]] bool only_moves(const ggml_tensor* op);
// Each row of the result is computed from rows of its own token, by one loop for all rows.
[[nodiscard]] bool is_row_by_row(const ggml_tensor* op);
// Recurrent layers: one loop over a sequence's tokens, each computed from the state that the one
// before it has left, in float32 as it is stored between passes.
[[nodiscard]] bool is_token_by_token(const ggml_tensor* op);

// As it is told: "products with Q8_0 weights".
[[nodiscard]] std::string what_of(const ggml_tensor* op);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_OPERATION_KINDS_H_
