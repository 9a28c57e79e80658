#include "src/llama/model_checks.h"

#include <string>
#include <string_view>

#include "gumbelspec/error.h"
#include "src/llama/model_file.h"

namespace gumbelspec::internal {
namespace {

[[noreturn]] void refuse(const llama_model* model, const std::string& what) {
  throw Error(ErrorCode::invalid_model, "the model's architecture, " +
                                            model_metadata(model, "general.architecture") + ", " +
                                            what + "; use a causal language model");
}

struct Refusal {
  std::string_view architecture;
  const char* why;
};

// What neither llama.h nor the graph nor the metadata tells.
constexpr Refusal kRefused[] = {
    {"eagle3", "is a draft head, which reads another model's hidden states"},
    {"dflash", "is a draft head, which reads another model's hidden states"},
    {"gemma4-assistant", "is a draft head, which reads another model's hidden states"},
    // Values of two dimensions, of which its cache wants three: it ends the process.
    {"plm", "has a graph that llama.cpp v0.5.0 cannot build"},
    {"pockettts", "makes sounds, and its logits mean nothing"},
    {"qwen3tts", "makes codes of sounds, not text"},
};

void check_is_decoder(const llama_model* model) {
  const std::string name = model_metadata(model, "general.architecture");
  for (const Refusal& refused : kRefused) {
    if (refused.architecture == name) refuse(model, refused.why);
  }
  if (llama_model_has_encoder(model)) refuse(model, "has an encoder");
  if (!llama_model_has_decoder(model)) refuse(model, "has no decoder");
  if (llama_model_is_diffusion(model)) refuse(model, "generates by diffusion");
}

// Files of any architecture can be made for embeddings or for ranking.
void check_is_generator(const llama_model* model) {
  const auto refuse_file = [](const std::string& what) {
    throw Error(ErrorCode::invalid_model, "the model " + what + "; use a causal language model");
  };
  if (model_metadata(model, "%s.attention.causal") == "false") {
    refuse_file("is not causal (" + model_metadata(model, "general.architecture") +
                ".attention.causal is false): its tokens see what comes after them");
  }
  const std::string pooling = model_metadata(model, "%s.pooling_type");
  // 0 is none; llama.cpp's own tools write -1 for what they do not know.
  constexpr std::string_view kKinds = "1234";
  if (pooling.size() == 1 && kKinds.find(pooling) != std::string_view::npos) {
    refuse_file("makes embeddings or ranks texts (" +
                model_metadata(model, "general.architecture") + ".pooling_type is " + pooling +
                ")");
  }
}

void check_range(const char* name, std::size_t value, std::size_t low, std::size_t high) {
  if (value >= low && value <= high) return;
  throw Error(ErrorCode::invalid_option,
              std::string(name) + " is " + std::to_string(value) + "; give a value from " +
                  std::to_string(low) + " to " + std::to_string(high),
              name);
}

void check_threads(const char* name, int n, const char* none) {
  if (n >= 0 && n <= 1024) return;
  throw Error(ErrorCode::invalid_option,
              std::string(name) + " is " + std::to_string(n) +
                  "; give a value from 1 to 1024, or 0 for " + none,
              name);
}

}  // namespace

void check_is_language_model(const llama_model* model) {
  check_is_decoder(model);
  check_is_generator(model);
}

void check_has_cache(const llama_model* model, const llama_context* context) {
  if (llama_get_memory(context) == nullptr) refuse(model, "keeps no cache");
}

void check_has_logits(const llama_model* model, std::size_t n_logits, std::size_t n_vocab) {
  if (n_logits == 0) refuse(model, "has no output head (it makes embeddings)");
  if (n_logits != n_vocab) {
    refuse(model, "gives " + std::to_string(n_logits) + " logits for a vocabulary of " +
                      std::to_string(n_vocab) + " tokens");
  }
}

void check_context_options(const LlamaModelOptions& options) {
  check_range("n_sequences", options.n_sequences, 1, 64);
  check_range("max_pass_nodes", options.max_pass_nodes, 1, 4096);
  check_range("n_snapshots", options.n_snapshots, 0, 64);
  check_range("prompt_chunk", options.prompt_chunk, 1, 65536);
  check_threads("n_threads", options.n_threads, "one per physical core");
  check_threads("n_threads_prompt", options.n_threads_prompt, "as many as n_threads");
}

}  // namespace gumbelspec::internal
