// One pass of llama.cpp: the tokens that go into it, and the rows that come out.
#ifndef GUMBELSPEC_SRC_LLAMA_PASS_BATCH_H_
#define GUMBELSPEC_SRC_LLAMA_PASS_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "gumbelspec/language_model.h"
#include "llama.h"
#include "src/llama/graph_traits.h"
#include "src/llama/hidden_states.h"
#include "src/llama/log_capture.h"

namespace gumbelspec::internal {

class PassBatch {
 public:
  // check_pass: as in CacheSettings. Lifetime: context and log must outlive it.
  PassBatch(llama_context* context, const GraphTraits& graph, std::function<void()> check_pass,
            const LogSink& log);

  // So many tokens do not allocate.
  void reserve(std::size_t n);
  void clear() {
    tokens_.clear(), pos_.clear(), n_ids_.clear(), ids_.clear(), wants_row_.clear(), embd_.clear();
  }
  // Every pass gives these states, and every token is added with a state of n_input numbers.
  void use_states(const StateSource& source, std::size_t n_input);
  // ids: of llama.cpp's sequences that the token is in. Lifetime: ids, until decode() returns.
  // state: [n_input]; null: zeros. Returns: the token's place, for row().
  std::int32_t add(TokenId token, llama_pos pos, std::span<llama_seq_id> ids, bool wants_row,
                   const float* state = nullptr);
  [[nodiscard]] std::size_t size() const { return tokens_.size(); }

  // Throws: Error{evaluation_failed}, what check_pass throws.
  [[nodiscard]] PassOutcome decode();

  // Of the last decode(), the logits of a token that wanted them.
  [[nodiscard]] const float* row(std::int32_t place) const {
    return llama_get_logits_ith(context_, place);
  }
  // Likewise its state, and those of all, by place. Shape: [source.size()], [size(),
  // source.size()].
  [[nodiscard]] std::span<const float> state(std::int32_t place) const {
    return states().subspan(static_cast<std::size_t>(place) * source_.size(), source_.size());
  }
  [[nodiscard]] std::span<const float> states() const { return states_; }

 private:
  void ask_for_rows();
  void complete_rows();
  void keep_states();

  llama_context* context_;
  GraphTraits graph_;
  std::function<void()> check_pass_;
  const LogSink& log_;
  std::vector<llama_token> tokens_;
  std::vector<llama_pos> pos_;
  std::vector<std::int32_t> n_ids_;
  std::vector<llama_seq_id*> ids_;
  std::vector<std::int8_t> wants_row_;
  StateSource source_;
  std::size_t n_input_ = 0;
  std::vector<float> embd_;    // [size(), n_input_]
  std::vector<float> states_;  // of the last decode()
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_PASS_BATCH_H_
