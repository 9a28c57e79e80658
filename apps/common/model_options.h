// Which models a command runs, and how they are loaded.
#ifndef GUMBELSPEC_APPS_COMMON_MODEL_OPTIONS_H_
#define GUMBELSPEC_APPS_COMMON_MODEL_OPTIONS_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/arguments.h"
#include "apps/common/hub_options.h"
#include "apps/common/output.h"
#include "apps/common/stop_signals.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/vocabularies.h"

namespace gumbelspec::apps {

// Defaults: the demo pair, as llama.cpp would run it.
struct ModelOptions {
  std::string target;         // a path; empty: the demo pair's target
  std::string draft;          // a path; empty: none, or the demo pair's draft
  std::size_t n_context = 0;  // tokens; 0: what the target was trained for
  int n_threads = 0;          // 0: one per physical core
  int n_threads_draft = 0;    // of the draft; 0: n_threads
  int n_gpu_layers = -1;      // -1: all
  int n_gpu_layers_draft = -1;
  std::vector<std::string> devices;        // of the target; empty: all
  std::vector<std::string> devices_draft;  // empty: all that are in this machine
  std::vector<float> tensor_split;         // the target's parts; empty: by free memory
  SplitMode split_mode = SplitMode::layer;
  int main_gpu = 0;
  std::vector<std::string> rpc_servers;  // "HOST:PORT"
  std::chrono::seconds rpc_timeout{10};
  std::size_t n_sequences = 1;             // that sessions or a batch need
  std::size_t n_draft_sequences = 1;       // the same for the draft
  std::optional<std::size_t> n_snapshots;  // of the target; none: default_snapshots()
  bool use_mmap = true;
  bool use_mtp = true;      // the target's own MTP layers draft where there is no draft model
  bool use_kernels = true;  // the CPU kernels, where this build and this processor have them
  bool is_verbose = false;  // llama.cpp's messages go to standard error
  Attention attention = Attention::exact;
  LlamaModelOptions more = {};                         // what add_load_options() adds: the target's
  std::string cache_type_k_draft, cache_type_v_draft;  // empty: the target's
  HubOptions hub = {};  // models by name; target and draft are paths once they are there
  // Asked while a pass runs; true stops it.
  std::function<bool()> is_cancelled = stop_requested;
};

void add_model_options(Arguments& arguments, ModelOptions& options);

// Whether there is something that drafts with passes: a draft model, a head, MTP layers.
[[nodiscard]] bool has_draft(const ModelOptions& options);

// Checks what can be checked without a model, and puts in the demo pair.
// Throws: Error{invalid_option, file_not_found}.
[[nodiscard]] ModelOptions with_demo_pair(const ModelOptions& given);

struct Models {
  std::unique_ptr<LlamaModel> target;
  std::unique_ptr<LlamaModel> draft;  // null: none given, or not wanted
  TranslatedDraft translated;         // of a draft that has another vocabulary

  // What drafts, in the target's tokens; null: nothing.
  [[nodiscard]] LanguageModel* drafting() const {
    return translated.model ? translated.model.get() : draft.get();
  }
};

// Snapshots of a recurrent target's state where --snapshots says nothing. A pass over several texts
// pays for those it does not need, too, and drafts get shorter the more texts there are
// (docs/results/recurrent.md).
[[nodiscard]] std::size_t default_snapshots(std::size_t n_texts) noexcept;

// How load_models() loads the target, and the draft of such a target.
// Requires: options come from with_demo_pair().
// Throws: Error{invalid_option} for an unknown instruction set of the kernels.
[[nodiscard]] LlamaModelOptions target_load_options(const ModelOptions& options,
                                                    Progress& progress);
[[nodiscard]] LlamaModelOptions draft_load_options(const ModelOptions& options,
                                                   const ModelLimits& target, Progress& progress);

// Throws: Error; Stopped if a signal came meanwhile.
[[nodiscard]] std::unique_ptr<LlamaModel> load_model(LlamaModelOptions options, Progress& progress);
// A draft may be trained for less context than the target is to use; then it is loaded with what it
// has, and beyond that nothing is drafted. Throws: as load_model().
[[nodiscard]] std::unique_ptr<LlamaModel> load_draft(const LlamaModelOptions& options,
                                                     Progress& progress);

// Requires: options come from with_demo_pair().
// Throws: Error; Stopped if a signal came meanwhile.
[[nodiscard]] Models load_models(const ModelOptions& options, bool wants_draft, Progress& progress);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_MODEL_OPTIONS_H_
