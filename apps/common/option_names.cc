#include "apps/common/option_names.h"

#include <algorithm>
#include <array>

namespace gumbelspec::apps {
namespace {

struct Name {
  std::string_view field;
  std::string_view option;
};

// What is not here has no option.
constexpr std::array<Name, 45> kNames = {{
    {"temperature", "--temp"},
    {"top_k", "--top-k"},
    {"top_p", "--top-p"},
    {"min_p", "--min-p"},
    {"min_keep", "--min-keep"},
    {"top_n_sigma", "--top-n-sigma"},
    {"typical_p", "--typical"},
    {"xtc_probability", "--xtc-probability"},
    {"xtc_threshold", "--xtc-threshold"},
    {"dynatemp_range", "--dynatemp-range"},
    {"dynatemp_exponent", "--dynatemp-exp"},
    {"samplers", "--samplers"},
    {"dry_multiplier", "--dry-multiplier"},
    {"dry_base", "--dry-base"},
    {"dry_allowed_length", "--dry-allowed-length"},
    {"dry_penalty_last_n", "--dry-penalty-last-n"},
    {"dry_breakers", "--dry-sequence-breaker"},
    {"mirostat", "--mirostat"},
    {"mirostat_tau", "--mirostat-ent"},
    {"mirostat_eta", "--mirostat-lr"},
    {"adaptive_target", "--adaptive-target"},
    {"adaptive_decay", "--adaptive-decay"},
    {"repeat_penalty", "--repeat-penalty"},
    {"presence_penalty", "--presence-penalty"},
    {"frequency_penalty", "--frequency-penalty"},
    {"penalty_last_n", "--repeat-last-n"},
    {"logit_bias", "--logit-bias"},
    {"max_gap_ms", "--max-gap-ms"},
    {"n_context", "-c"},
    {"n_threads", "-t"},
    {"n_threads_prompt", "-tb"},
    {"prompt_chunk", "-ub"},
    {"cache_type_k", "-ctk"},
    {"cache_type_v", "-ctv"},
    {"overrides", "--override-kv"},
    {"weight_places", "--override-tensor"},
    {"control_layers", "--control-vector-layer-range"},
    {"n_snapshots", "--snapshots"},
    {"devices", "--device"},
    {"tensor_split", "--tensor-split"},
    {"split_mode", "--split-mode"},
    {"main_gpu", "--main-gpu"},
    {"rpc_servers", "--rpc"},
    {"rpc_timeout", "--rpc-timeout"},
    {"text", "prompt"},  // the only one that the command line tokenizes
}};

}  // namespace

std::string option_of(std::string_view field) {
  const auto* found = std::find_if(kNames.begin(), kNames.end(),
                                   [&](const Name& name) { return name.field == field; });
  return found == kNames.end() ? std::string() : std::string(found->option);
}

std::string message_of(const Error& error) { return error.message_with(option_of); }

Error named_for_draft(const Error& error) {
  return {error.code(), error.message_with([](std::string_view field) {
            return field == "devices" ? std::string("--device-draft") : option_of(field);
          })};
}

}  // namespace gumbelspec::apps
