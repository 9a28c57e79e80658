#include "src/llama/context_setup.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "ggml-backend.h"
#include "gumbelspec/error.h"
#include "src/llama/chain_cache.h"
#include "src/llama/cpu_topology.h"
#include "src/llama/graph_traits.h"
#include "src/llama/load_details.h"
#include "src/llama/model_checks.h"
#include "src/llama/model_file.h"
#include "src/llama/recurrent_memory.h"
#include "src/llama/tree_cache.h"

namespace gumbelspec::internal {
namespace {

// Rounds that reject every node of a full pass, until the cache is rewritten.
constexpr std::size_t kRoundsBetweenCompactions = 22;

std::size_t context_length(const llama_model* model, const LlamaModelOptions& options) {
  const auto n_trained = static_cast<std::size_t>(std::max(0, llama_model_n_ctx_train(model)));
  if (options.n_context == 0) {
    // Recurrent models often name no limit.
    return n_trained > 0 ? n_trained : 4096;
  }
  const std::size_t n_most = stretched_context(n_trained, options.rope);
  if (n_trained > 0 && options.n_context > n_most) {
    throw Error(ErrorCode::invalid_option,
                "n_context is " + std::to_string(options.n_context) +
                    " tokens, but the model was trained for " + std::to_string(n_trained) +
                    (n_most > n_trained
                         ? " and is stretched to " + std::to_string(n_most) + "; give at most that"
                         : "; give at most " + std::to_string(n_trained)),
                "n_context");
  }
  return options.n_context;
}

// What keeps a model from holding several continuations and from dropping any tokens again; empty
// if nothing does.
std::string_view why_no_drop(const llama_model* model) {
  const std::string name = model_metadata(model, "general.architecture");
  // Copies of a prefix do not share the summaries.
  if (name == "deepseek4") return "keeps summaries of a sequence besides its cache";
  // It finds cells by their position alone, where branches have several.
  if (name == "minimax-m3") return "attends to blocks of positions that hold one token each";
  if (llama_model_is_recurrent(model)) return "is recurrent";
  if (llama_model_is_hybrid(model)) return "has recurrent layers";
  return {};
}

// Snapshots are asked for; whether the architecture has them is known when the context is made.
Rollback rollback_of(const llama_model* model, const LlamaModelOptions& options) {
  if (why_no_drop(model).empty()) return Rollback::cells;
  const std::string name = model_metadata(model, "general.architecture");
  if (name == "deepseek4" || name == "minimax-m3") return Rollback::none;
  return options.n_snapshots > 0 ? Rollback::snapshots : Rollback::copies;
}

bool uses_device(const LlamaModelOptions& options, std::span<const Device> devices) {
  return options.n_gpu_layers != 0 && !devices.empty();
}

// Anything that does not compute with ggml's CPU code.
bool uses_gpu(const LlamaModelOptions& options, std::span<const Device> devices) {
  return uses_device(options, devices) && !std::all_of(devices.begin(), devices.end(), is_cpu_like);
}

// Models with a short and a long set of rotation factors take the long one when the cache has more
// cells than this; spare cells must not change the numbers. 0: no such limit.
std::size_t max_cells_for_short_factors(const llama_model* model) {
  const std::string text = model_metadata(model, "%s.rope.scaling.original_context_length");
  std::size_t n = 0;
  std::from_chars(text.data(), text.data() + text.size(), n);
  return n;
}

CacheSettings cache_settings(const llama_model* model, const LlamaModelOptions& options,
                             bool is_order_free) {
  CacheSettings cache;
  cache.n_sequences = options.n_sequences;
  cache.n_context = context_length(model, options);
  cache.max_pass_nodes = options.max_pass_nodes;
  cache.rollback = rollback_of(model, options);
  cache.n_snapshots = cache.rollback == Rollback::snapshots ? options.n_snapshots : 0;
  cache.keeps_order = cache.can_branch() && options.attention == Attention::exact && !is_order_free;
  cache.has_window = llama_model_n_swa(model) > 0;
  const std::size_t n_text = cache.n_sequences * cache.n_context;
  std::size_t n_spare = cache.rollback == Rollback::none ? 0 : options.max_pass_nodes;
  if (cache.keeps_order) n_spare += std::max<std::size_t>(512, n_text / 8);
  // With several texts nearly all that is rejected lies before some other text and stays parked.
  if (cache.keeps_order && cache.n_sequences > 1) {
    n_spare = std::max(n_spare, kRoundsBetweenCompactions * options.max_pass_nodes);
  }
  cache.n_parked = n_spare;
  // llama.cpp rounds up to 256.
  cache.n_cells = (n_text + n_spare + 255) / 256 * 256;
  const std::size_t n_short = max_cells_for_short_factors(model);
  if (n_text <= n_short && cache.n_cells > n_short) {
    cache.n_cells = std::max<std::size_t>(n_short / 256 * 256, 256);
    if (cache.n_sequences == 1 && cache.n_cells > 2 * options.max_pass_nodes) {
      cache.n_context = std::min(cache.n_context, cache.n_cells - options.max_pass_nodes);
    }
  }
  return cache;
}

llama_context_params context_params(const CacheSettings& cache, const LlamaModelOptions& options,
                                    std::span<const Device> devices) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(cache.n_cells);
  // A pass must be one micro-batch: its nodes see each other.
  params.n_batch =
      static_cast<std::uint32_t>(std::max(options.prompt_chunk, options.max_pass_nodes));
  params.n_ubatch = params.n_batch;
  // Only sequences' own ids count here (buffers grow with it); a unified cache takes all ids.
  params.n_seq_max =
      static_cast<std::uint32_t>(ChainCache::n_ids(cache.n_sequences, cache.rollback));
  params.n_rs_seq = static_cast<std::uint32_t>(cache.n_snapshots);
  params.n_outputs_max =
      static_cast<std::uint32_t>(std::max(options.max_pass_nodes, cache.n_sequences));
  params.pooling_type = LLAMA_POOLING_TYPE_NONE;
  params.kv_unified = true;
  params.swa_full = true;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_AUTO;
  const bool is_exact = options.attention == Attention::exact && !uses_gpu(options, devices);
  if (is_exact) {
    // ggml's CPU attention splits long caches and tiles large batches, with other roundings, only
    // where keys and values have one type. Of the types that are left for values, bfloat16 adds up
    // in float32 (float16 does not), and llama.cpp turns float32 into float16 before.
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    params.type_k = GGML_TYPE_F16;
    params.type_v = GGML_TYPE_BF16;
  }
  const CacheTypes types = cache_types(options, {params.type_k, params.type_v}, is_exact);
  params.type_k = types.k;
  params.type_v = types.v;
  // A quantized cache has no other attention.
  if (ggml_is_quantized(types.v)) params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  put_rope(options.rope, params);
  return params;
}

// Graphs of llama.cpp v0.5.0 that are wrong for several sequences in one micro-batch: plamo2's
// cannot be built and ends the process; the others mix the sequences up (found by the zoo).
bool computes_one_text(const llama_model* model) {
  const std::string name = model_metadata(model, "general.architecture");
  return name == "plamo2" || name == "rwkv6qwen2" || name == "arwkv7";
}

ModelLimits limits_of(const llama_model* model, const CacheSettings& cache,
                      std::size_t max_context) {
  ModelLimits limits;
  limits.n_vocab = static_cast<std::size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
  limits.n_context = cache.n_context;
  limits.max_context = max_context;
  limits.max_pass_nodes = cache.max_pass_nodes;
  limits.n_sequences = cache.n_sequences;
  limits.can_branch = limits.can_drop = cache.can_branch();
  if (!limits.can_drop) limits.why_no_drop = why_no_drop(model);
  switch (cache.rollback) {
    case Rollback::cells:
      limits.max_leaves = TreeCache::max_leaves(cache.n_sequences);
      break;
    case Rollback::snapshots:
      limits.max_leaves = cache.n_sequences;
      limits.max_drop = cache.n_snapshots;
      break;
    case Rollback::copies:
      limits.max_leaves = cache.n_sequences;
      limits.max_drop = cache.max_pass_nodes - 1;
      limits.can_drop_passes = true;
      break;
    case Rollback::none:
      limits.max_leaves = 1;
      break;
  }
  if (computes_one_text(model)) limits.max_leaves = 1;
  return limits;
}

PassFacts facts_of(const CacheSettings& cache, const LlamaModelOptions& options,
                   std::span<const Device> devices) {
  PassFacts facts;
  facts.trusts_accelerators = options.accelerators && !options.order_free_types.empty();
  facts.has_steady_attention = options.attention == Attention::exact &&
                               !uses_gpu(options, devices) &&
                               (cache.keeps_order ||
                                // What a chain drops lies behind its text, if not behind others'.
                                (!cache.can_branch() && cache.n_sequences == 1));
  facts.decodes_plainly = cache.rollback == Rollback::none && cache.n_sequences == 1;
  facts.max_pass_nodes = cache.max_pass_nodes;
  facts.devices.assign(devices.begin(), devices.end());
  return facts;
}

// llama.cpp turns heads before it rounds them for a quantized cache: products whose sums depend on
// the pass. It reads the variable when a cache is made; none is made meanwhile by another thread.
class NoRotation {
 public:
  explicit NoRotation(bool is_wanted) : is_set_(is_wanted && std::getenv(kVariable) == nullptr) {
    if (is_set_) ::setenv(kVariable, "1", 1);
  }
  ~NoRotation() {
    if (is_set_) ::unsetenv(kVariable);
  }
  NoRotation(const NoRotation&) = delete;
  NoRotation& operator=(const NoRotation&) = delete;

 private:
  static constexpr const char* kVariable = "LLAMA_ATTN_ROT_DISABLE";
  bool is_set_;
};

// n_state_bytes: becomes what recurrent layers keep.
LlamaContextPtr new_context(llama_model* model, llama_context_params params, const LogSink& log,
                            bool has_given_types, std::size_t& n_state_bytes) {
  const RecurrentMemoryLog states(log);
  const LogCapture capture(states.sink());
  LlamaContextPtr context(llama_init_from_model(model, params));
  if (context == nullptr && params.type_k != params.type_v && !has_given_types) {
    // Latent attention keeps keys and values in one tensor, so they have one type; bfloat16 is the
    // only 16-bit one that is neither split nor tiled.
    params.type_k = params.type_v;
    context.reset(llama_init_from_model(model, params));
  }
  n_state_bytes = states.n_bytes();
  if (context != nullptr) return context;
  throw Error(ErrorCode::out_of_memory, "no context of " + std::to_string(params.n_ctx) +
                                            " tokens could be made: " + capture.last_error() +
                                            "; ask for a shorter context, fewer sequences" +
                                            (has_given_types ? ", another type of cache" : "") +
                                            (params.n_rs_seq > 0 ? " or fewer snapshots" : ""));
}

LlamaRollback rollback_of_bytes(std::size_t n_bytes, const CacheSettings& cache) {
  LlamaRollback rollback;
  rollback.n_snapshots = cache.n_snapshots;
  // Planes of states: the sequences' own, and their snapshots or copies.
  const std::size_t n_planes = cache.rollback == Rollback::copies ? 2 : 1 + rollback.n_snapshots;
  rollback.state_bytes = n_bytes / n_planes;
  rollback.rollback_bytes = n_bytes - rollback.state_bytes;
  return rollback;
}

}  // namespace

ContextSetup make_context(llama_model* model, const LlamaModelOptions& options,
                          std::span<const Device> devices, ggml_abort_callback on_cancel,
                          void* cancel_data, const LogSink& log, const HeadSetup& head) {
  const bool is_head = head.kind != HeadKind::none;
  if (!is_head) check_is_language_model(model);
  check_context_options(options);
  ContextSetup setup;
  // The kernels compute here, not on a device.
  const bool is_order_free = !is_head && options.accelerators && !uses_device(options, devices) &&
                             has_only_types(options.path, options.order_free_types, log) &&
                             cache_types(options, {}, false).suit_kernels();
  setup.cache = cache_settings(model, options, is_order_free);
  // It has a plain cache, whatever its target has.
  if (is_head) setup.cache.rollback = Rollback::cells;
  setup.n_threads = options.n_threads > 0 ? options.n_threads : n_physical_cores();
  llama_context_params params = context_params(setup.cache, options, devices);
  params.n_threads = params.n_threads_batch = setup.n_threads;
  setup.cache.n_threads = setup.n_threads;
  setup.cache.n_threads_prompt =
      options.n_threads_prompt > 0 ? options.n_threads_prompt : setup.n_threads;
  if (is_head) {
    params.ctx_other = head.target;
    // States are fused for as many tokens as a prompt's chunk has, and count as output.
    params.n_outputs_max = params.n_batch;
    if (head.kind == HeadKind::mtp) params.ctx_type = LLAMA_CONTEXT_TYPE_MTP;
  }
  if (setup.cache.can_branch()) {
    params.abort_callback = on_cancel;
    params.abort_callback_data = cancel_data;
  }
  std::size_t n_state_bytes = 0;
  const std::size_t max_context = stretched_context(
      static_cast<std::size_t>(std::max(0, llama_model_n_ctx_train(model))), options.rope);
  const bool is_coarse = ggml_is_quantized(params.type_k) || ggml_is_quantized(params.type_v);
  // Indexers, which score cells, need it.
  const bool has_indexer = !model_metadata(model, "%s.attention.indexer.head_count").empty();
  const NoRotation no_rotation(options.attention == Attention::exact && is_coarse && !has_indexer);
  const bool has_given_types = cache_types(options, {}, false).are_given;
  setup.context = new_context(model, params, log, has_given_types, n_state_bytes);
  if (setup.cache.rollback == Rollback::snapshots && llama_n_rs_seq(setup.context.get()) == 0) {
    // The architecture has none.
    setup.cache.rollback = Rollback::copies;
    setup.cache.n_snapshots = 0;
    setup.context.reset();
    params.n_rs_seq = 0;
    params.n_seq_max =
        static_cast<std::uint32_t>(ChainCache::n_ids(options.n_sequences, Rollback::copies));
    setup.context = new_context(model, params, log, has_given_types, n_state_bytes);
  }
  apply_adapters(model, setup.context.get(), options);
  setup.limits = limits_of(model, setup.cache, max_context);
  setup.facts = facts_of(setup.cache, options, devices);
  setup.rollback = rollback_of_bytes(n_state_bytes, setup.cache);
  check_has_cache(model, setup.context.get());
  setup.cache.graph = read_graph_traits(setup.context.get());
  // Its states come with the rows that are asked for.
  if (is_head) setup.cache.graph.gives_all_rows = true;
  check_has_logits(model, setup.cache.graph.n_logits, setup.limits.n_vocab);
  return setup;
}

}  // namespace gumbelspec::internal
