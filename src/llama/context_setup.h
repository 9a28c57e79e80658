// The llama.cpp context that a LlamaModel works with, and what the model can do in it.
#ifndef GUMBELSPEC_SRC_LLAMA_CONTEXT_SETUP_H_
#define GUMBELSPEC_SRC_LLAMA_CONTEXT_SETUP_H_

#include <memory>
#include <span>

#include "gumbelspec/llama_model.h"
#include "llama.h"
#include "src/llama/devices.h"
#include "src/llama/log_capture.h"
#include "src/llama/pass_audit.h"
#include "src/llama/sequence_cache.h"

namespace gumbelspec::internal {

struct LlamaContextDeleter {
  void operator()(llama_context* context) const { llama_free(context); }
};
using LlamaContextPtr = std::unique_ptr<llama_context, LlamaContextDeleter>;

struct ContextSetup {
  LlamaContextPtr context;
  CacheSettings cache;
  ModelLimits limits;
  LlamaRollback rollback;
  PassFacts facts;
  int n_threads = 1;
};

// What a head's context is made with besides.
struct HeadSetup {
  HeadKind kind = HeadKind::none;
  llama_context* target = nullptr;  // whose states it reads
};

// cancel_data is given to on_cancel, which llama.cpp asks while a pass runs; not for models that
// cannot drop tokens, whose interrupted passes cannot be taken back.
// Throws: Error{invalid_option, invalid_model, out_of_memory}.
ContextSetup make_context(llama_model* model, const LlamaModelOptions& options,
                          std::span<const Device> devices, ggml_abort_callback on_cancel,
                          void* cancel_data, const LogSink& log, const HeadSetup& head = {});

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_CONTEXT_SETUP_H_
