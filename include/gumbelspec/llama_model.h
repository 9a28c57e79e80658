// A GGUF model run by llama.cpp. This header does not include llama.h.
#ifndef GUMBELSPEC_LLAMA_MODEL_H_
#define GUMBELSPEC_LLAMA_MODEL_H_

#include <chrono>
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
  // Weights of type Q2_K and Q4_K are not repacked, those of type IQ4_NL are, and ggml's panels for
  // the other IQ types are turned off for the process (the environment variable GGML_NO_IQ_PANEL is
  // set, before the first pass over such weights), for the same reason. So the logits of a token
  // are the same bits in every pass for models whose matrices are all quantized; not for F32, F16
  // and BF16 matrices (mixtures of experts have F32 ones), nor on a GPU.
  exact,
  // llama.cpp's defaults: smaller cache, faster long prompts; texts can differ between methods.
  fast,
};

// How a model is spread over several devices.
enum class SplitMode {
  none,   // on one of them: main_gpu
  layer,  // whole layers on each
  row,    // each matrix by rows, where the backend can; not over RPC
};

struct LlamaModelOptions {
  std::string path = {};             // a .gguf file (the first one of a split model)
  std::size_t n_context = 0;         // tokens per sequence; 0: what the model was trained for
  std::size_t n_sequences = 1;       // sequences open at once
  std::size_t max_pass_nodes = 256;  // nodes of one pass besides prompts
  int n_threads = 0;                 // 0: one per physical core
  int n_gpu_layers = -1;             // on the devices; -1: all; without a device none
  // Names as devices() lists them; empty: all; {"none"}: the CPU alone.
  std::vector<std::string> devices = {};
  std::vector<float> tensor_split = {};  // the devices' parts; empty: by their free memory
  SplitMode split_mode = SplitMode::layer;
  int main_gpu = 0;  // index into the devices, for SplitMode::none
  // "HOST:PORT" of llama.cpp's rpc-server: their devices come first. Nothing is encrypted, and
  // whoever reaches such a server can take its machine over: private networks only.
  std::vector<std::string> rpc_servers = {};
  // A server that shows no sign of life for so long is lost; so is one that cannot be reached
  // within that time. A server that computes does show signs of life. From 1 s up.
  std::chrono::milliseconds rpc_timeout{10'000};
  bool use_mmap = true;
  Attention attention = Attention::exact;
  // Types of matrices ("Q8_0") that a registered device computes with, together with an attention
  // that gives the same numbers wherever in the cache a token's cells lie, as this project's CPU
  // kernels do (kernels::Info). Attention::exact then does not keep the cells of a model in order
  // that has no other matrices, which saves the rewriting of the cache.
  std::vector<std::string> order_free_types = {};
  // Whether ggml's registered accelerators (devices of type ACCEL, such as this project's CPU
  // kernels or a BLAS) may compute. false: as in a process that has registered none; other models
  // keep theirs, order_free_types is ignored, and no other model can be loaded meanwhile.
  bool accelerators = true;
  // Called from load with [0, 1]; returning false gives up (Error{invalid_model}). It must not load
  // a model itself.
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

// What layers can be placed on.
struct LlamaDevice {
  std::string name;         // "CUDA0", "RPC0", "CPU"
  std::string description;  // of an RPC server's device: the server
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
};

// A part of a model.
struct LlamaPlacement {
  std::string device;       // as in LlamaDevice
  std::vector<int> layers;  // ascending; the output counts as the last layer + 1
  std::size_t bytes = 0;    // of the buffers for its weights; a mapped part of a file counts whole
};

// Over the links to a model's RPC servers since they were connected, by all models on them. A round
// trip is a request that waited for its answer.
struct RpcTraffic {
  std::uint64_t n_round_trips = 0;
  std::uint64_t n_sent_bytes = 0;
  std::uint64_t n_received_bytes = 0;
};

// Whether the logits of a token are the same bits in every pass: alone, in a chain, in a tree,
// beside other texts. That a seed's text is the same with every method rests on the target's being
// so. Told from the operations of the model's passes, from what computes each, and from what is
// known of that; not measured (gumbelspec selftest measures).
struct PassGuarantee {
  // Operations of one kind.
  struct Part {
    std::string operations;  // "43 products with Q8_0 weights"
    std::string device;      // as in LlamaDevice, or an accelerator's name
    bool holds = true;
    std::string why;  // one clause: what makes it so, or what does not and what would help
  };
  bool holds = true;
  std::vector<Part> parts;  // what does not hold comes first

  // Of the first part that does not hold, one line; empty if all do.
  [[nodiscard]] std::string reason() const;
};

class TokenConstraint;

class LlamaModel final : public LanguageModel {
 public:
  // Throws: Error{file_not_found, invalid_model, out_of_memory, invalid_option, peer_lost}.
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

  // A pass that needs an RPC server which is lost throws Error{peer_lost} with the server's name,
  // at most rpc_timeout after its last sign of life, and so does every pass after it. restore()
  // connects again and loads the weights anew; then the model is as it was when it was loaded: no
  // sequence is open. Does nothing if no server is lost.
  // Throws: Error{peer_lost} while a server is missing; it can be called again. As load().
  void restore();

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

  [[nodiscard]] PassGuarantee guarantee() const;

  // Where its layers are, as of loading.
  [[nodiscard]] std::vector<LlamaPlacement> placement() const;
  [[nodiscard]] RpcTraffic rpc_traffic() const;

  // Throws: Error{vocabulary_mismatch} with the first token that differs. A draft may have more or
  // fewer padding tokens at the end.
  static void require_same_vocabulary(const LlamaModel& target, const LlamaModel& draft);

  // All there is, the CPU last. Throws: Error{invalid_option, peer_lost}.
  static std::vector<LlamaDevice> devices(
      const std::vector<std::string>& rpc_servers = {},
      std::chrono::milliseconds rpc_timeout = LlamaModelOptions{}.rpc_timeout);

  // llama.cpp's version and the features that it was built with and found, one line.
  // Throws: Error{file_not_found} where its libraries are not those of this build.
  static std::string backend_description();

  // Which of llama.cpp's CPU code is used, in portable builds: "haswell"; empty in builds for one
  // processor. The best one for this processor, or what GUMBELSPEC_CPU_VARIANT says.
  // Throws: Error{file_not_found, invalid_option}; loading a model throws the same.
  static std::string cpu_variant();

 private:
  friend std::unique_ptr<TokenConstraint> make_grammar(const LlamaModel& model,
                                                       const std::string& gbnf);
  class Impl;
  explicit LlamaModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_LLAMA_MODEL_H_
