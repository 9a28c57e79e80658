#include "apps/common/environment.h"

#include <algorithm>
#include <array>

#include "apps/common/arguments.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps {
namespace {

struct Name {
  std::string_view option;
  const char* variable;
};

// Those of llama.cpp v0.5.0 whose options mean the same here.
constexpr std::array<Name, 56> kNames = {{
    {"--alias", "LLAMA_ARG_ALIAS"},
    {"--api-key", "LLAMA_API_KEY"},
    {"--api-key-file", "LLAMA_ARG_API_KEY_FILE"},
    {"--cache-type-k", "LLAMA_ARG_CACHE_TYPE_K"},
    {"--cache-type-k-draft", "LLAMA_ARG_SPEC_DRAFT_CACHE_TYPE_K"},
    {"--cache-type-v", "LLAMA_ARG_CACHE_TYPE_V"},
    {"--cache-type-v-draft", "LLAMA_ARG_SPEC_DRAFT_CACHE_TYPE_V"},
    {"--chat-template", "LLAMA_ARG_CHAT_TEMPLATE"},
    {"--chat-template-file", "LLAMA_ARG_CHAT_TEMPLATE_FILE"},
    {"--cpu-moe", "LLAMA_ARG_CPU_MOE"},
    {"--ctx-size", "LLAMA_ARG_CTX_SIZE"},
    {"--device", "LLAMA_ARG_DEVICE"},
    {"--draft", "LLAMA_ARG_SPEC_TYPE"},
    {"--embedding", "LLAMA_ARG_EMBEDDINGS"},
    {"--frequency-penalty", "LLAMA_ARG_FREQUENCY_PENALTY"},
    {"--gpu-layers", "LLAMA_ARG_N_GPU_LAYERS"},
    {"--gpu-layers-draft", "LLAMA_ARG_N_GPU_LAYERS_DRAFT"},
    {"--hf-file", "LLAMA_ARG_HF_FILE"},
    {"--hf-repo", "LLAMA_ARG_HF_REPO"},
    {"--hf-repo-draft", "LLAMA_ARG_SPEC_DRAFT_HF_REPO"},
    {"--host", "LLAMA_ARG_HOST"},
    {"--load-mode", "LLAMA_ARG_LOAD_MODE"},
    {"--main-gpu", "LLAMA_ARG_MAIN_GPU"},
    {"--min-p", "LLAMA_ARG_MIN_P"},
    {"--model", "LLAMA_ARG_MODEL"},
    {"--model-draft", "LLAMA_ARG_SPEC_DRAFT_MODEL"},
    {"--model-url", "LLAMA_ARG_MODEL_URL"},
    {"--n-cpu-moe", "LLAMA_ARG_N_CPU_MOE"},
    {"--numa", "LLAMA_ARG_NUMA"},
    {"--offline", "LLAMA_ARG_OFFLINE"},
    {"--override-tensor", "LLAMA_ARG_OVERRIDE_TENSOR"},
    {"--parallel", "LLAMA_ARG_N_PARALLEL"},
    {"--pooling", "LLAMA_ARG_POOLING"},
    {"--port", "LLAMA_ARG_PORT"},
    {"--predict", "LLAMA_ARG_N_PREDICT"},
    {"--presence-penalty", "LLAMA_ARG_PRESENCE_PENALTY"},
    {"--reasoning", "LLAMA_ARG_REASONING"},
    {"--repeat-penalty", "LLAMA_ARG_REPEAT_PENALTY"},
    {"--reranking", "LLAMA_ARG_RERANKING"},
    {"--rope-freq-base", "LLAMA_ARG_ROPE_FREQ_BASE"},
    {"--rope-freq-scale", "LLAMA_ARG_ROPE_FREQ_SCALE"},
    {"--rope-scale", "LLAMA_ARG_ROPE_SCALE"},
    {"--rope-scaling", "LLAMA_ARG_ROPE_SCALING_TYPE"},
    {"--rpc", "LLAMA_ARG_RPC"},
    {"--split-mode", "LLAMA_ARG_SPLIT_MODE"},
    {"--ssl-cert-file", "LLAMA_ARG_SSL_CERT_FILE"},
    {"--ssl-key-file", "LLAMA_ARG_SSL_KEY_FILE"},
    {"--temp", "LLAMA_ARG_TEMPERATURE"},
    {"--tensor-split", "LLAMA_ARG_TENSOR_SPLIT"},
    {"--threads", "LLAMA_ARG_THREADS"},
    {"--top-k", "LLAMA_ARG_TOP_K"},
    {"--top-p", "LLAMA_ARG_TOP_P"},
    {"--ubatch-size", "LLAMA_ARG_UBATCH"},
    {"--yarn-ext-factor", "LLAMA_ARG_YARN_EXT_FACTOR"},
    {"--yarn-orig-ctx", "LLAMA_ARG_YARN_ORIG_CTX"},
    {"--yarn-attn-factor", "LLAMA_ARG_YARN_ATTN_FACTOR"},
}};

constexpr std::array<std::string_view, 3> kTargets = {"--model", "--hf-repo", "--model-url"};
constexpr std::array<std::string_view, 2> kDrafts = {"--model-draft", "--hf-repo-draft"};

template <std::size_t kN>
void add_others(const std::array<std::string_view, kN>& group, std::string_view name,
                std::vector<std::string_view>& rivals) {
  if (std::find(group.begin(), group.end(), name) == group.end()) return;
  std::copy_if(group.begin(), group.end(), std::back_inserter(rivals),
               [&](std::string_view other) { return other != name; });
}

}  // namespace

std::vector<std::string> variables_of(std::string_view long_name) {
  if (long_name.size() < 3 || long_name.substr(0, 2) != "--") return {};
  if (long_name == "--help" || long_name == "--version") return {};
  std::string ours = "GUMBELSPEC_ARG_";
  for (const char c : long_name.substr(2)) {
    ours += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  std::vector<std::string> variables = {std::move(ours)};
  for (const Name& name : kNames) {
    if (name.option == long_name) variables.emplace_back(name.variable);
  }
  return variables;
}

std::vector<std::string_view> rivals_of(std::string_view long_name) {
  std::vector<std::string_view> rivals;
  add_others(kTargets, long_name, rivals);
  add_others(kDrafts, long_name, rivals);
  return rivals;
}

bool is_switched_on(const std::string& variable, const std::string& value) {
  for (const char* on : {"true", "on", "1", "enabled"}) {
    if (value == on) return true;
  }
  for (const char* off : {"false", "off", "0", "disabled"}) {
    if (value == off) return false;
  }
  throw bad_option("the environment's " + variable + " is " + in_quotes(value) +
                   "; give true or false");
}

}  // namespace gumbelspec::apps
