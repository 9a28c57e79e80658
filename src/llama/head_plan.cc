#include "src/llama/head_plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string_view>

#include "gumbelspec/error.h"
#include "src/llama/model_file.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

// Whose graphs name what goes into their layers; llama.cpp v0.5.0 ends the process for all others.
constexpr std::array<std::string_view, 9> kTellLayers = {"gemma4",   "gpt-oss",    "hunyuan_vl",
                                                         "llama",    "minimax-m2", "muse-glimmer",
                                                         "nanbeige", "qwen3",      "qwen3moe"};

std::string architecture(const llama_model* model) {
  return model_metadata(model, "general.architecture");
}

template <std::size_t kN>
bool is_one_of(const std::array<std::string_view, kN>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorCode::invalid_model, what, "path");
}

void check_target(const std::string& head, const HeadTarget& target) {
  constexpr const char* kOther = "; use a draft model, or --draft suffix,recycled";
  if (target.is_head || target.model == nullptr) {
    refuse(head + " drafts for a model, but its target is a draft head; give the model with -m");
  }
  if (target.is_remote) {
    refuse(head + " reads the target's hidden states, which RPC servers do not give" + kOther);
  }
  if (!target.can_branch) {
    refuse(head + " reads hidden states, which are not taken from targets with recurrent layers (" +
           architecture(target.model) + ")" + kOther);
  }
}

void check_size(const std::string& head, const std::string& what, std::int64_t wanted,
                std::int64_t given) {
  if (wanted == given) return;
  refuse(head + " was made for a target with " + what + " " + std::to_string(wanted) +
         ", but the target's is " + std::to_string(given) + "; use a head of this target");
}

}  // namespace

bool is_eagle3(const llama_model* model) { return architecture(model) == "eagle3"; }

HeadPlan plan_eagle3(const llama_model* head, const std::string& path, const HeadTarget& target,
                     const LogSink& log) {
  const std::string name = "the EAGLE-3 head " + printable(path);
  check_target(name, target);
  if (!is_one_of(kTellLayers, architecture(target.model))) {
    refuse(name + " reads what goes into the target's layers, which llama.cpp " + llama_version() +
           " does not tell for " + architecture(target.model) + "; use a draft model");
  }
  const std::string size = model_metadata(head, "%s.target_hidden_size");
  const std::int64_t n_embd = llama_model_n_embd(target.model);
  std::int64_t n_wanted = 0;
  std::from_chars(size.data(), size.data() + size.size(), n_wanted);
  check_size(name, "hidden states of size", n_wanted, n_embd);
  check_size(name, "a vocabulary of", llama_vocab_n_tokens(llama_model_get_vocab(head)),
             llama_vocab_n_tokens(llama_model_get_vocab(target.model)));
  // What it lacks it takes from the target.
  for (const char* tensor : {"token_embd.weight", "output.weight"}) {
    if (llama_model_n_embd(head) == n_embd || has_tensor(path, tensor, log)) continue;
    refuse(name + " is " + std::to_string(llama_model_n_embd(head)) + " wide, the target " +
           std::to_string(n_embd) + ", and it has no " + tensor + " of its own; convert it again");
  }
  const std::int32_t n_layers = llama_model_n_layer(target.model);
  HeadPlan plan;
  plan.states.layers = target_layers(head);
  plan.states.n_layer_state = static_cast<std::size_t>(n_embd);
  plan.n_own = static_cast<std::size_t>(llama_model_n_embd(head));
  for (const std::uint32_t layer : plan.states.layers) {
    // The last hidden state as "what goes into the output": llama.cpp gives zeros for many models.
    if (static_cast<std::int32_t>(layer) < n_layers) continue;
    refuse(name + " reads what goes into layer " + std::to_string(layer) +
           ", but the target's layers are 0 to " + std::to_string(n_layers - 1) +
           "; use a head of this target");
  }
  return plan;
}

HeadPlan plan_mtp(const HeadTarget& target) {
  check_target("a draft with MTP layers", target);
  if (!target.mtp_obstacle.empty()) {
    refuse("the target (" + architecture(target.model) + ") " + target.mtp_obstacle +
           "; give a draft model");
  }
  HeadPlan plan;
  plan.states.is_last = true;
  plan.states.n_layer_state = static_cast<std::size_t>(llama_model_n_embd_out(target.model));
  plan.n_own = plan.states.n_layer_state;
  return plan;
}

}  // namespace gumbelspec::internal
