#include "src/llama/pass_batch.h"

#include <algorithm>
#include <string>
#include <utility>

#include "gumbelspec/error.h"

namespace gumbelspec::internal {

PassBatch::PassBatch(llama_context* context, const GraphTraits& graph,
                     std::function<void()> check_pass, const LogSink& log)
    : context_(context), graph_(graph), check_pass_(std::move(check_pass)), log_(log) {}

void PassBatch::reserve(std::size_t n) {
  tokens_.reserve(n);
  pos_.reserve(n);
  n_ids_.reserve(n);
  ids_.reserve(n);
  wants_row_.reserve(n);
}

void PassBatch::use_states(const StateSource& source, std::size_t n_input) {
  source_ = source;
  n_input_ = n_input;
  states_.clear();
}

std::int32_t PassBatch::add(TokenId token, llama_pos pos, std::span<llama_seq_id> ids,
                            bool wants_row, const float* state) {
  tokens_.push_back(static_cast<llama_token>(token));
  pos_.push_back(pos);
  n_ids_.push_back(static_cast<std::int32_t>(ids.size()));
  ids_.push_back(ids.data());
  wants_row_.push_back(wants_row ? 1 : 0);
  if (n_input_ > 0) {
    embd_.resize(embd_.size() + n_input_);
    if (state != nullptr) {
      std::copy_n(state, n_input_, embd_.end() - static_cast<std::ptrdiff_t>(n_input_));
    }
  }
  return static_cast<std::int32_t>(tokens_.size() - 1);
}

// Rows that nobody wants, but the graph needs asked for.
void PassBatch::ask_for_rows() {
  const bool has_rows = std::find(wants_row_.begin(), wants_row_.end(), 1) != wants_row_.end();
  if (graph_.gives_all_rows && has_rows) std::fill(wants_row_.begin(), wants_row_.end(), 1);
  if (graph_.has_first_row_only() && !has_rows) wants_row_.front() = 1;
}

// Every row as the graph makes the first one.
void PassBatch::complete_rows() {
  if (!graph_.has_first_row_only()) return;
  const float* first = nullptr;
  for (std::size_t s = 0; s < size(); ++s) {
    if (wants_row_[s] == 0) continue;
    float* row = llama_get_logits_ith(context_, static_cast<std::int32_t>(s));
    if (first == nullptr) first = row;
    if (row != first) {
      std::copy(first + graph_.first_row_begin, first + graph_.first_row_end,
                row + graph_.first_row_begin);
    }
  }
}

// A head gives states of the tokens that wanted rows only: all of a tree's, and none of a text's.
void PassBatch::keep_states() {
  states_.clear();
  const bool is_head = n_input_ > 0;
  if (is_head && wants_row_.front() == 0) return;
  append_states(context_, source_, size(), states_);
}

PassOutcome PassBatch::decode() {
  ask_for_rows();
  llama_batch batch{};
  batch.n_tokens = static_cast<std::int32_t>(size());
  batch.token = tokens_.data();
  if (n_input_ > 0) batch.embd = embd_.data();
  batch.pos = pos_.data();
  batch.n_seq_id = n_ids_.data();
  batch.seq_id = ids_.data();
  batch.logits = wants_row_.data();
  const LogCapture capture(log_);
  const int code = llama_decode(context_, batch);
  if (check_pass_) {
    // What is still under way belongs to the pass.
    llama_synchronize(context_);
    check_pass_();
  }
  switch (code) {
    case 0:
      complete_rows();
      keep_states();
      return PassOutcome::ok;
    case 1:
      return PassOutcome::no_space;
    case 2:
      return PassOutcome::cancelled;
    default:
      throw Error(ErrorCode::evaluation_failed,
                  "llama.cpp failed with code " + std::to_string(code) + " in a pass over " +
                      std::to_string(size()) + " tokens: " + capture.last_error());
  }
}

}  // namespace gumbelspec::internal
