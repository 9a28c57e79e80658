// A GGUF model run by llama.cpp. This header does not include llama.h.
#ifndef GUMBELSPEC_LLAMA_MODEL_H_
#define GUMBELSPEC_LLAMA_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gumbelspec/language_model.h"

namespace gumbelspec {

// How a pass is computed, and with it what a seed's text depends on. Measured with llama.cpp
// v0.5.0 on an x86 CPU; docs/exactness.md has the figures.
enum class Attention {
  // Flash attention over a cache whose cells stay in the order of their positions, keys in float16
  // and values in bfloat16: on the CPU a token's attention is then the same number in every pass.
  // Weights of type Q2_K and Q4_K are not repacked, for the same reason. So the logits of a token
  // are the same bits in every pass for models whose matrices are all quantized; not for F32, F16
  // and BF16 matrices (mixtures of experts have F32 ones), nor on a GPU.
  exact,
  // llama.cpp's defaults: smaller cache, faster long prompts; texts can differ between methods.
  fast,
};

struct LlamaModelOptions {
  std::string path = {};             // a .gguf file (the first one of a split model)
  std::size_t n_context = 0;         // tokens per sequence; 0: what the model was trained for
  std::size_t n_sequences = 1;       // sequences open at once
  std::size_t max_pass_nodes = 256;  // nodes of one pass besides prompts
  int n_threads = 0;                 // 0: one per physical core
  int n_gpu_layers = -1;             // -1: all that llama.cpp can place; without a GPU none
  bool use_mmap = true;
  Attention attention = Attention::exact;
  // Types of matrices ("Q8_0") that a registered device computes with, together with an attention
  // that gives the same numbers wherever in the cache a token's cells lie, as this project's CPU
  // kernels do (kernels::Info). Attention::exact then does not keep the cells of a model in order
  // that has no other matrices, which saves the rewriting of the cache.
  std::vector<std::string> order_free_types = {};
  // Called from load with [0, 1]; returning false gives up (Error{invalid_model}).
  std::function<bool(float)> on_progress = {};
  // llama.cpp's own messages, one call per line; empty: they are dropped.
  std::function<void(std::string_view)> on_log = {};
  // Asked while a pass runs, from any thread; true stops the pass. CPU only.
  std::function<bool()> is_cancelled = {};
};

struct TokenizeOptions {
  bool adds_special = true;    // BOS and EOS where the model asks for them
  bool reads_control = false;  // text that looks like a control token becomes one
};

class TokenConstraint;

class LlamaModel final : public LanguageModel {
 public:
  // Throws: Error{file_not_found, invalid_model, out_of_memory, invalid_option}.
  static std::unique_ptr<LlamaModel> load(const LlamaModelOptions& options);
  ~LlamaModel() override;

  [[nodiscard]] const ModelLimits& limits() const override;
  [[nodiscard]] bool is_end(TokenId token) const override;
  SeqId open() override;
  void close(SeqId seq) override;
  [[nodiscard]] std::size_t n_committed(SeqId seq) const override;
  [[nodiscard]] PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override;
  [[nodiscard]] PassOutcome evaluate(std::span<const PassNode> nodes) override;
  [[nodiscard]] std::span<const float> row(std::size_t i) const override;
  void commit(SeqId seq, std::span<const PendingId> path) override;
  void truncate(SeqId seq, std::size_t n) override;

  // The text's tokens. Threads: any number at once, also during a pass.
  // Throws: Error{invalid_prompt} if text is not UTF-8.
  [[nodiscard]] std::vector<TokenId> tokenize(std::string_view text,
                                              const TokenizeOptions& options = {}) const;

  // The bytes of one token; control tokens give an empty string. May be a part of a UTF-8
  // character. Threads: as tokenize().
  [[nodiscard]] std::string piece(TokenId token) const;

  // How the vocabulary writes the tokens that begin and end a text, e.g. "<s>"; empty if it has
  // none.
  [[nodiscard]] std::string bos_text() const;
  [[nodiscard]] std::string eos_text() const;

  // One line: architecture, parameters, type of the weights; e.g. "llama 5.93 M Q8_0".
  [[nodiscard]] std::string description() const;
  // A value of the file's metadata as text, e.g. of "general.name"; empty if there is none.
  [[nodiscard]] std::string metadata(const std::string& key) const;
  [[nodiscard]] int n_threads() const;

  // Throws: Error{vocabulary_mismatch} with the first token that differs. A draft may have more or
  // fewer padding tokens at the end.
  static void require_same_vocabulary(const LlamaModel& target, const LlamaModel& draft);

  // llama.cpp's version and the features that it was built with and found, one line.
  static std::string backend_description();

 private:
  friend std::unique_ptr<TokenConstraint> make_grammar(const LlamaModel& model,
                                                       const std::string& gbnf);
  class Impl;
  explicit LlamaModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_LLAMA_MODEL_H_
