// LoRA adapters and control vectors: load_details.h.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

#include "ggml.h"
#include "gguf.h"
#include "gumbelspec/error.h"
#include "src/llama/load_details.h"
#include "src/llama/log_capture.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

[[noreturn]] void fail(ErrorCode code, const char* kind, const LlamaAdapter& adapter,
                       const std::string& what) {
  throw Error(code, std::string(kind) + " " + printable(adapter.path) + " " + what);
}

void check(const char* kind, const LlamaAdapter& adapter) {
  std::error_code failure;
  if (!std::filesystem::is_regular_file(adapter.path, failure)) {
    fail(ErrorCode::file_not_found, kind, adapter, "is not there; check the path");
  }
  if (!std::isfinite(adapter.scale)) {
    fail(ErrorCode::invalid_option, kind, adapter, "has no finite scale; give a number");
  }
}

void apply_loras(llama_model* model, llama_context* context, const LlamaModelOptions& options) {
  constexpr const char* kKind = "the LoRA adapter";
  std::vector<llama_adapter_lora*> adapters;
  std::vector<float> scales;
  for (const LlamaAdapter& given : options.loras) {
    check(kKind, given);
    const LogCapture capture(options.on_log);
    llama_adapter_lora* adapter = llama_adapter_lora_init(model, given.path.c_str());
    if (adapter == nullptr) {
      fail(ErrorCode::invalid_model, kKind, given,
           "cannot be used with this model: " + capture.last_error() +
               "; give one that was made for it (llama.cpp's convert_lora_to_gguf.py)");
    }
    if (llama_adapter_get_alora_n_invocation_tokens(adapter) > 0) {
      fail(ErrorCode::invalid_model, kKind, given,
           "is an activated one, which acts from certain tokens on; give one that always acts");
    }
    adapters.push_back(adapter);
    scales.push_back(given.scale);
  }
  if (adapters.empty()) return;
  if (llama_set_adapters_lora(context, adapters.data(), adapters.size(), scales.data()) != 0) {
    throw Error(ErrorCode::invalid_model,
                "llama.cpp cannot apply the LoRA adapters; leave them out");
  }
}

// Adds scale * the file's directions to data, which is [layer from 1][n_embd].
void add_control_vector(const LlamaAdapter& given, std::size_t n_embd, std::vector<float>& data) {
  constexpr const char* kKind = "the control vector";
  check(kKind, given);
  ggml_context* tensors = nullptr;
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(
      gguf_init_from_file(given.path.c_str(), {/*no_alloc=*/false, &tensors}), &gguf_free);
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> owner(tensors, &ggml_free);
  const std::int64_t n_tensors = file == nullptr ? 0 : gguf_get_n_tensors(file.get());
  if (n_tensors == 0) {
    fail(ErrorCode::invalid_model, kKind, given,
         "holds no directions; make one with llama.cpp's llama-cvector-generator");
  }
  for (std::int64_t i = 0; i < n_tensors; ++i) {
    const std::string_view name = gguf_get_tensor_name(file.get(), i);
    constexpr std::string_view kStart = "direction.";
    std::size_t layer = 0;
    const bool is_named =
        name.substr(0, kStart.size()) == kStart &&
        std::from_chars(name.data() + kStart.size(), name.data() + name.size(), layer).ec ==
            std::errc();
    const ggml_tensor* direction = ggml_get_tensor(tensors, name.data());
    if (!is_named || layer == 0 || direction->type != GGML_TYPE_F32 ||
        ggml_n_dims(direction) != 1 || layer > data.size() / n_embd ||
        static_cast<std::size_t>(direction->ne[0]) != n_embd) {
      fail(ErrorCode::invalid_model, kKind, given,
           "does not fit the model: " + printable(name) + " has to be a direction of " +
               std::to_string(n_embd) + " float32 for one of the layers 1 to " +
               std::to_string(data.size() / n_embd) + "; give one that was made for it");
    }
    const auto* values = static_cast<const float*>(direction->data);
    for (std::size_t j = 0; j < n_embd; ++j) {
      data[(layer - 1) * n_embd + j] += given.scale * values[j];
    }
  }
}

void apply_control_vectors(const llama_model* model, llama_context* context,
                           const LlamaModelOptions& options) {
  if (options.control_vectors.empty()) return;
  const LogCapture capture(options.on_log);
  const auto n_embd = static_cast<std::size_t>(llama_model_n_embd(model));
  const int n_layers = llama_model_n_layer(model);
  const int first = options.control_first_layer > 0 ? options.control_first_layer : 1;
  const int last = options.control_last_layer > 0 ? options.control_last_layer : n_layers;
  if (first > last || last > n_layers) {
    throw Error(ErrorCode::invalid_option,
                "control_layers is " + std::to_string(first) + " to " + std::to_string(last) +
                    "; give two layers from 1 to " + std::to_string(n_layers) +
                    ", the smaller one first",
                "control_layers");
  }
  std::vector<float> data(n_embd * static_cast<std::size_t>(n_layers - 1));
  for (const LlamaAdapter& given : options.control_vectors) {
    add_control_vector(given, n_embd, data);
  }
  if (llama_set_adapter_cvec(context, data.data(), data.size(), static_cast<std::int32_t>(n_embd),
                             first, last) != 0) {
    throw Error(ErrorCode::invalid_model,
                "llama.cpp cannot apply control vectors to this model; leave them out");
  }
}

}  // namespace

void apply_adapters(llama_model* model, llama_context* context, const LlamaModelOptions& options) {
  apply_loras(model, context, options);
  apply_control_vectors(model, context, options);
}

}  // namespace gumbelspec::internal
