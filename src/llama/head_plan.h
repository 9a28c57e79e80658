// Whether a draft head fits its target, and what it reads of it.
#ifndef GUMBELSPEC_SRC_LLAMA_HEAD_PLAN_H_
#define GUMBELSPEC_SRC_LLAMA_HEAD_PLAN_H_

#include <cstddef>
#include <string>

#include "llama.h"
#include "src/llama/hidden_states.h"
#include "src/llama/log_capture.h"

namespace gumbelspec::internal {

// What a head has to know of its target.
struct HeadTarget {
  const llama_model* model = nullptr;
  bool is_head = false;
  bool is_remote = false;  // spread over RPC servers
  bool can_branch = true;
  std::string mtp_obstacle = {};  // why its own MTP layers cannot draft; empty: they can
};

struct HeadPlan {
  StateSource states;     // of the target
  std::size_t n_own = 0;  // numbers of the states that the head makes itself
};

[[nodiscard]] bool is_eagle3(const llama_model* model);

// path: the head's file. Throws: Error{invalid_model} with what does not fit.
[[nodiscard]] HeadPlan plan_eagle3(const llama_model* head, const std::string& path,
                                   const HeadTarget& target, const LogSink& log);
[[nodiscard]] HeadPlan plan_mtp(const HeadTarget& target);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_HEAD_PLAN_H_
