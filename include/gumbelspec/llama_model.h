// A GGUF model run by llama.cpp. This header does not include llama.h.
#ifndef GUMBELSPEC_LLAMA_MODEL_H_
#define GUMBELSPEC_LLAMA_MODEL_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gumbelspec/language_model.h"

namespace gumbelspec {

class LlamaModel;

// How a pass is computed, and so what the text of a seed depends on. Measured with llama.cpp v0.5.0
// on an x86 CPU; docs/exactness.md has the figures.
enum class Attention {
  // Flash attention over a cache whose cells stay in the order of their positions, with keys in
  // float16 and values in bfloat16: on the CPU, a token's attention is then the same number in all
  // passes. For the same reason weights of type Q2_K and Q4_K are not repacked, those of IQ4_NL
  // are, and ggml's panels for the other IQ types are turned off in the whole process (by setting
  // the environment variable GGML_NO_IQ_PANEL before the first pass over such weights). So the
  // logits of a token are the same bits in every pass if all matrices of the model are quantized;
  // not with F32, F16 or BF16 matrices (mixtures of experts have F32 ones), nor on a GPU.
  exact,
  // llama.cpp's defaults: a smaller cache and faster long prompts, but the text of a seed can be
  // another with another method.
  fast,
};

// How a model is spread over several devices.
enum class SplitMode {
  none,   // on one of them: main_gpu
  layer,  // whole layers on each
  row,    // each matrix by rows, where the backend can; not over RPC
};

// How positions are turned into angles, where it is not as the file says (llama.cpp's --rope-* and
// --yarn-*). 0, negative or empty: as the file says.
struct RopeOptions {
  std::string scaling = {};           // "none", "linear" or "yarn"
  float freq_base = 0.0F;             // NTK-aware scaling changes it
  float freq_scale = 0.0F;            // 0.25: four times the context
  float yarn_ext_factor = -1.0F;      // extrapolation mix; 0: interpolation only
  float yarn_attn_factor = -1.0F;     // of the attention's magnitude
  float yarn_beta_fast = -1.0F;       // low correction dimension
  float yarn_beta_slow = -1.0F;       // high correction dimension
  std::size_t yarn_orig_context = 0;  // tokens that the model was trained for
};

// A LoRA adapter or a control vector: a .gguf file, and how strongly it acts.
struct LlamaAdapter {
  std::string path;
  float scale = 1.0F;
};

// What ggml does on machines with several memory nodes; the first model loaded decides for the
// process.
enum class Numa { off, distribute, isolate, numactl };

struct LlamaModelOptions {
  std::string path = {};             // a .gguf file (the first one of a split model)
  std::size_t n_context = 0;         // tokens per sequence; 0: what the model was trained for
  std::size_t n_sequences = 1;       // sequences open at once
  std::size_t max_pass_nodes = 256;  // nodes of one pass besides prompts
  std::size_t prompt_chunk = 512;    // tokens of a prompt in one pass, at least; at most 65536
  int n_threads = 0;                 // 0: one per physical core
  int n_threads_prompt = 0;          // of passes over prompts; 0: n_threads
  int n_gpu_layers = -1;             // on the devices; -1: all; without a device none
  // Of a model with recurrent layers: tokens of a pass that can be dropped again, so the longest
  // chain that can be verified, where llama.cpp keeps snapshots of the architecture's state. Each
  // takes the memory of one state for every sequence (LlamaModel::rollback). 0, and all other
  // architectures: a second copy of the state, from which accepted tokens are read again after
  // others were dropped. At most 64.
  std::size_t n_snapshots = 5;
  // Names as devices() lists them; empty: all; {"none"}: the CPU alone.
  std::vector<std::string> devices = {};
  std::vector<float> tensor_split = {};  // the devices' parts; empty: by their free memory
  SplitMode split_mode = SplitMode::layer;
  int main_gpu = 0;  // index into the devices, for SplitMode::none
  // "HOST:PORT" of llama.cpp's rpc-servers, whose devices come first. Nothing is encrypted, and
  // whoever can reach such a server can take over its machine: private networks only.
  std::vector<std::string> rpc_servers = {};
  // A server that gives no sign of life for this long is lost, as is one that cannot be reached
  // within this time. A server that is busy computing does give signs of life. At least 1 s.
  std::chrono::milliseconds rpc_timeout{10'000};
  bool use_mmap = true;
  bool use_mlock = false;      // the weights are kept in memory, never swapped out
  bool use_direct_io = false;  // read past the system's cache of files; without mmap and mlock
  Numa numa = Numa::off;
  // The cache's types, as llama.cpp spells them: f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1 or
  // iq4_nl; empty: the attention's own. A coarser cache gives another distribution, that of the
  // model as it is then computed; Attention::exact still makes it one for all passes, and refuses
  // the pairs that it cannot (f16 or f32 for both).
  std::string cache_type_k = {};
  std::string cache_type_v = {};
  // With any of them given, n_context may go beyond what the model was trained for: as far as
  // freq_scale stretches it, or without a limit for another freq_base.
  RopeOptions rope = {};
  // Values of the file's metadata that others take the place of, "KEY=TYPE:VALUE" with int, float,
  // bool or str for TYPE.
  std::vector<std::string> overrides = {};
  // Where weights lie, "PATTERN=BUFFER" with a regular expression for their names and the name of
  // a buffer as llama.cpp has it: "CPU", "CUDA0". The first that matches counts.
  std::vector<std::string> weight_places = {};
  std::vector<LlamaAdapter> loras = {};
  std::vector<LlamaAdapter> control_vectors = {};
  // The layers that control vectors act on, from 1, both included; 0 and 0: all.
  int control_first_layer = 0;
  int control_last_layer = 0;
  Attention attention = Attention::exact;
  // Types of matrices ("Q8_0") for which a registered device computes products and attention that
  // do not depend on where in the cache a token's cells lie, as this project's CPU kernels do
  // (kernels::Info). For a model with no other matrices, Attention::exact then need not keep the
  // cells in order, which saves rewriting the cache.
  std::vector<std::string> order_free_types = {};
  // Whether ggml's registered accelerators (devices of type ACCEL, such as this project's CPU
  // kernels or a BLAS) may be used. false: as in a process that has registered none. Other models
  // keep theirs, order_free_types is ignored, and no other model can be loaded while this one is.
  bool accelerators = true;
  // Whether layers of the file that predict tokens further ahead (MTP) are loaded, too: for a head.
  bool loads_mtp = false;
  // The model whose hidden states a draft head reads; with an empty path the head is the target's
  // own MTP layers. Other models do not look at it. Lifetime: outlives the head.
  LlamaModel* target = nullptr;
  // Called while loading, with values in [0, 1]; returning false stops it (Error{invalid_model}).
  // It must not load a model itself.
  std::function<bool(float)> on_progress = {};
  // llama.cpp's own messages, one call per line; empty: they are dropped.
  std::function<void(std::string_view)> on_log = {};
  // Called while a pass runs, from any thread; returning true stops the pass. CPU only.
  std::function<bool()> is_cancelled = {};
};

struct TokenizeOptions {
  bool adds_special = true;    // adds BOS and EOS where the model asks for them
  bool reads_control = false;  // turns text that looks like a control token into one
};

// A device that layers can be placed on.
struct LlamaDevice {
  std::string name;         // "CUDA0", "RPC0", "CPU"
  std::string description;  // for a device of an RPC server: the server
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
};

// The part of a model that is on one device.
struct LlamaPlacement {
  std::string device;       // as in LlamaDevice
  std::vector<int> layers;  // ascending; the output counts as the last layer + 1
  std::size_t bytes = 0;  // of the buffers for its weights; a mapped part of the file counts fully
};

// Traffic of all models on the links to this model's RPC servers, since they were connected. A
// round trip is a request that waited for its answer.
struct RpcTraffic {
  std::uint64_t n_round_trips = 0;
  std::uint64_t n_sent_bytes = 0;
  std::uint64_t n_received_bytes = 0;
};

// Whether the logits of a token are the same bits in every pass: alone, in a chain, in a tree, or
// together with other texts. If the target's are, the text of a seed is the same with every method.
// This is derived from the operations of the model's passes and what is known of the device that
// computes each; it is not measured (gumbelspec selftest measures it).
struct PassGuarantee {
  // Operations of one kind.
  struct Part {
    std::string operations;  // "43 products with Q8_0 weights"
    std::string device;      // as in LlamaDevice, or an accelerator's name
    bool holds = true;
    std::string why;  // one clause: what makes it hold; or what breaks it, and what would help
  };
  bool holds = true;
  std::vector<Part> parts;  // those that do not hold come first

  // One line about the first part that does not hold; empty if all do.
  [[nodiscard]] std::string reason() const;
};

// How a model with recurrent layers takes back tokens, and what that takes. Units: bytes, of all
// sequences together.
struct LlamaRollback {
  std::size_t n_snapshots = 0;     // of each sequence; 0: a copy of the state, or nothing recurrent
  std::size_t state_bytes = 0;     // the recurrent states themselves; 0: the model has none
  std::size_t rollback_bytes = 0;  // snapshots, or copies
};

// What a model that fills gaps reads before and after one; of other models none.
struct LlamaFillTokens {
  std::optional<TokenId> prefix, suffix, middle;
  std::optional<TokenId> repository, file;  // names of what stands around it
};

// Of a model's file.
struct LlamaSize {
  std::uint64_t n_parameters = 0;
  std::uint64_t n_bytes = 0;
  std::size_t n_embedding = 0;  // dimensions of the residual stream
};

// How a draft head is fed.
enum class HeadKind {
  none,    // it is no head
  eagle3,  // a file of its own, which reads what goes into three of the target's layers
  mtp,     // the target's own layers for tokens further ahead, which read its last hidden state
};

class Grammar;
struct GrammarTrigger;

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
  [[nodiscard]] std::size_t n_restorable(SeqId seq, std::size_t n) const override;
  void remember(SeqId seq) override;
  [[nodiscard]] std::size_t n_extra() const override;
  [[nodiscard]] PassOutcome extend_after(SeqId seq, std::span<const TokenId> tokens,
                                         std::span<const float> states) override;
  void copy_state(std::size_t i, std::span<float> out) const override;

  // What kind of a head this is, and whether it has MTP layers loaded for one.
  [[nodiscard]] HeadKind head_kind() const;
  [[nodiscard]] bool has_mtp() const;
  // Whether this file has MTP layers that a model can draft with (LlamaModelOptions::loads_mtp).
  // false also for what is not a model file.
  [[nodiscard]] static bool has_mtp_layers(const std::string& path);
  // Whether it is an EAGLE-3 head.
  [[nodiscard]] static bool is_head_file(const std::string& path);
  [[nodiscard]] std::vector<std::uint8_t> state(SeqId seq) override;
  [[nodiscard]] bool set_state(SeqId seq, std::span<const std::uint8_t> state,
                               std::size_t n_tokens) override;

  // A pass that needs a lost RPC server throws Error{peer_lost} with the server's name, at most
  // rpc_timeout after its last sign of life, and so does every later pass. restore() connects again
  // and reloads the weights; then the model is as it was after load(): no sequence is open. It does
  // nothing if no server is lost.
  // Throws: Error{peer_lost} while a server is missing (call it again later); as load().
  void restore();

  // The text's tokens. Threads: any number at once, also during a pass.
  // Throws: Error{invalid_prompt} if text is not UTF-8.
  [[nodiscard]] std::vector<TokenId> tokenize(std::string_view text,
                                              const TokenizeOptions& options = {}) const;

  // The bytes of one token, which may be a part of a UTF-8 character; empty for control tokens.
  // Threads: as tokenize().
  [[nodiscard]] std::string piece(TokenId token) const;

  // The tokens that begin and end a text, as the vocabulary writes them, e.g. "<s>"; empty if there
  // is none.
  [[nodiscard]] std::string bos_text() const;
  [[nodiscard]] std::string eos_text() const;
  // Tokens that the file says are never to be chosen (tokenizer.ggml.suppress_tokens).
  [[nodiscard]] std::vector<TokenId> suppressed_tokens() const;
  // A token as the vocabulary writes it, control tokens too.
  [[nodiscard]] std::string token_text(TokenId token) const;
  [[nodiscard]] LlamaFillTokens fill_tokens() const;
  [[nodiscard]] LlamaSize size() const;

  // One line: architecture, parameters, type of the weights; e.g. "llama 5.93 M Q8_0".
  [[nodiscard]] std::string description() const;
  // A value of the file's metadata as text, e.g. for "general.name"; empty if there is none.
  [[nodiscard]] std::string metadata(const std::string& key) const;
  [[nodiscard]] int n_threads() const;

  [[nodiscard]] PassGuarantee guarantee() const;

  [[nodiscard]] LlamaRollback rollback() const;

  // Where its layers were placed when it was loaded.
  [[nodiscard]] std::vector<LlamaPlacement> placement() const;
  [[nodiscard]] RpcTraffic rpc_traffic() const;

  // Throws: Error{vocabulary_mismatch} with the first token that differs. A draft may have more or
  // fewer padding tokens at the end.
  static void require_same_vocabulary(const LlamaModel& target, const LlamaModel& draft);

  // All devices, the CPU last. Throws: Error{invalid_option, peer_lost}.
  static std::vector<LlamaDevice> devices(
      const std::vector<std::string>& rpc_servers = {},
      std::chrono::milliseconds rpc_timeout = LlamaModelOptions{}.rpc_timeout);

  // llama.cpp's version and features, built in and detected, on one line.
  // Throws: Error{file_not_found} if its libraries are not those of this build.
  static std::string backend_description();

  // In portable builds, the variant of llama.cpp's CPU code in use, e.g. "haswell": the best one
  // for this processor, or the one that GUMBELSPEC_CPU_VARIANT names. Empty in builds for one
  // processor. Throws: Error{file_not_found, invalid_option}; loading a model throws the same.
  static std::string cpu_variant();

 private:
  friend std::shared_ptr<const Grammar> compile_grammar(const LlamaModel& model,
                                                        const std::string& gbnf,
                                                        const GrammarTrigger& trigger);
  class Impl;
  explicit LlamaModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_LLAMA_MODEL_H_
