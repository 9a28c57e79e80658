#include "testing/zoo/architectures.h"

#include <stdexcept>

// Its functions are static, and so is its knowledge of which key an architecture needs.
#define main test_llama_archs_main  // NOLINT(readability-identifier-naming)
#include "tests/test-llama-archs.cpp"
#undef main

namespace gumbelspec::zoo {

std::vector<Architecture> all_architectures() {
  std::vector<Architecture> all;
  for (const llm_arch architecture : llm_arch_all()) {
    if (architecture == LLM_ARCH_UNKNOWN) continue;
    const std::string name = llm_arch_name(architecture);
    // That test leaves these out, and so does not say that they have experts.
    const bool must_have = architecture == LLM_ARCH_DEEPSEEK2OCR ||
                           architecture == LLM_ARCH_NOMIC_BERT_MOE ||
                           architecture == LLM_ARCH_GRANITE_SWITCH;
    if (!must_have && !moe_mandatory(architecture)) all.push_back({name, false});
    if (must_have || moe_implemented(architecture)) all.push_back({name, true});
  }
  return all;
}

Gguf parameters_of(const Architecture& architecture) {
  const llm_arch known = llm_arch_from_string(architecture.name);
  if (known == LLM_ARCH_UNKNOWN) {
    throw std::runtime_error("architecture " + architecture.name + " is unknown");
  }
  const gguf_context_ptr with_tensors = get_gguf_ctx(known, architecture.has_experts);
  // What it says of tensors is for other code.
  Gguf gguf(gguf_init_empty());
  gguf_set_kv(gguf.get(), with_tensors.get());
  return gguf;
}

}  // namespace gumbelspec::zoo
