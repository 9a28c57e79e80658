// From a path to a llama.cpp model, with one clear line for everything that can be wrong.
#ifndef GUMBELSPEC_SRC_LLAMA_MODEL_FILE_H_
#define GUMBELSPEC_SRC_LLAMA_MODEL_FILE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "llama.h"
#include "src/llama/devices.h"
#include "src/llama/log_capture.h"

namespace gumbelspec::internal {

struct LlamaModelDeleter {
  void operator()(llama_model* model) const { llama_model_free(model); }
};
using LlamaModelPtr = std::unique_ptr<llama_model, LlamaModelDeleter>;

struct ModelFileOptions {
  std::string path;
  int n_gpu_layers = -1;
  std::vector<Device> devices;
  SplitMode split_mode = SplitMode::layer;
  std::vector<float> tensor_split;
  int main_gpu = 0;
  bool use_mmap = true;
  bool use_mlock = false;
  bool use_direct_io = false;
  Numa numa = Numa::off;
  std::vector<std::string> overrides;
  std::vector<std::string> weight_places;
  bool loads_mtp = false;        // the layers for tokens further ahead, too
  bool vocabulary_only = false;  // no weights: only for comparing and tokenizing
  // Weights in an order in which a product does not depend on how many tokens a pass has.
  bool is_batch_invariant = false;
  // Types (ggml's names, in any case) whose matrices a registered accelerator takes: they are left
  // to it.
  std::vector<std::string> accelerated_types;
  std::function<bool(float)> on_progress;
};

// What of these options is about the file and where its weights go; loads_mtp and
// is_batch_invariant are left for who decides about them.
ModelFileOptions file_options(const LlamaModelOptions& options, const std::vector<Device>& devices);

// Throws: Error{file_not_found, invalid_model, out_of_memory}.
LlamaModelPtr load_model_file(const ModelFileOptions& options, const LogSink& log);

// Whether all weights are of these types (ggml's names, in any case). false for the first part of a
// split model, which does not tell.
bool has_only_types(const std::string& path, const std::vector<std::string>& types,
                    const LogSink& log);

// Whether the file has a tensor of this name.
bool has_tensor(const std::string& path, const char* name, const LogSink& log);
// Why llama.cpp cannot draft with the layers for tokens further ahead that the file has, or lacks
// (mtp_layers.h). Empty: it can.
std::string mtp_obstacle(const std::string& path);
// Whether it is an EAGLE-3 head; likewise.
bool is_eagle3_file(const std::string& path);

// A metadata value as text; empty if the model has none. "%s" in key stands for the architecture.
std::string model_metadata(const llama_model* model, const std::string& key);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_MODEL_FILE_H_
