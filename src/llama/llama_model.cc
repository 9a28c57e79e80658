#include "gumbelspec/llama_model.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_grammar.h"
#include "llama.h"
#include "src/llama/accelerators.h"
#include "src/llama/backends.h"
#include "src/llama/chain_cache.h"
#include "src/llama/context_setup.h"
#include "src/llama/devices.h"
#include "src/llama/grammar.h"
#include "src/llama/model_file.h"
#include "src/llama/pass_audit.h"
#include "src/llama/sequence_cache.h"
#include "src/llama/tree_cache.h"
#include "src/llama/vocabulary.h"

namespace gumbelspec {

namespace {

std::string describe(const llama_model* model) {
  const auto n_parameters = static_cast<double>(llama_model_n_params(model));
  const bool is_large = n_parameters >= 1e9;
  std::array<char, 32> size{};
  std::snprintf(size.data(), size.size(), "%.3g %s", n_parameters / (is_large ? 1e9 : 1e6),
                is_large ? "B" : "M");
  // llama.cpp marks types that the file does not name.
  constexpr std::string_view kGuessed = "(guessed) ";
  std::string_view type = llama_ftype_name(llama_model_ftype(model));
  if (type.substr(0, kGuessed.size()) == kGuessed) type.remove_prefix(kGuessed.size());
  return internal::model_metadata(model, "general.architecture") + " " + size.data() + " " +
         std::string(type);
}

// What of a model stays the same when restore() loads it anew; other threads may be reading it.
struct Description {
  std::string text;
  ModelLimits limits;
  LlamaRollback rollback;
  LlamaSize size;
  int n_threads = 1;
};

}  // namespace

class LlamaModel::Impl {
 public:
  explicit Impl(const LlamaModelOptions& options)
      : options_(options), log_(options.on_log), is_cancelled_(options.is_cancelled) {
    if (options.rpc_timeout < std::chrono::seconds(1)) {
      throw Error(ErrorCode::invalid_option,
                  "rpc_timeout is " + std::to_string(options.rpc_timeout.count()) +
                      " ms; give at least 1000",
                  "rpc_timeout");
    }
    load();
    description_ = {describe(model_.get()),
                    setup_.limits,
                    setup_.rollback,
                    {llama_model_n_params(model_.get()), llama_model_size(model_.get()),
                     static_cast<std::size_t>(llama_model_n_embd(model_.get()))},
                    setup_.n_threads};
    // Who loads is told how far it is; who loads again would not expect it.
    options_.on_progress = {};
    if (relays_.empty()) return;
    // Tokens can be read and written while the weights are being loaded again.
    internal::ModelFileOptions file;
    file.path = options.path;
    file.vocabulary_only = true;
    const internal::DeviceList list(/*with_accelerators=*/true);
    vocabulary_ = internal::load_model_file(file, log_);
  }

  ~Impl() { unload(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void restore() {
    if (cache_ != nullptr && !is_lost()) return;
    unload();
    load();
  }

  [[nodiscard]] const ModelLimits& limits() const { return description_.limits; }
  [[nodiscard]] const LlamaRollback& rollback() const { return description_.rollback; }
  [[nodiscard]] const LlamaSize& size() const { return description_.size; }
  [[nodiscard]] int n_threads() const { return description_.n_threads; }
  [[nodiscard]] const std::string& description() const { return description_.text; }
  [[nodiscard]] const std::vector<LlamaPlacement>& placement() const { return placement_; }
  [[nodiscard]] const PassGuarantee& guarantee() const { return guarantee_; }
  // For what does not change.
  [[nodiscard]] const llama_model* vocabulary() const {
    return vocabulary_ ? vocabulary_.get() : model_.get();
  }
  [[nodiscard]] const llama_vocab* vocab() const { return llama_model_get_vocab(vocabulary()); }
  // Of all grammars. Threads: any number at once.
  [[nodiscard]] std::shared_ptr<const internal::GrammarTokens> grammar_tokens() const {
    std::call_once(grammar_tokens_made_,
                   [this] { grammar_tokens_ = internal::read_grammar_tokens(vocab()); });
    return grammar_tokens_;
  }
  [[nodiscard]] internal::GrammarCache& grammars() const { return grammars_; }
  [[nodiscard]] internal::SequenceCache& cache() {
    if (cache_ == nullptr) {
      throw Error(ErrorCode::peer_lost,
                  "the model is not loaded since an RPC server was lost; "
                  "call restore()");
    }
    return *cache_;
  }
  [[nodiscard]] const internal::SequenceCache& cache() const {
    return const_cast<Impl*>(this)->cache();
  }
  [[nodiscard]] RpcTraffic traffic() const {
    RpcTraffic sum;
    for (const internal::RpcRelay* relay : relays_) {
      const RpcTraffic one = relay->traffic();
      sum.n_round_trips += one.n_round_trips;
      sum.n_sent_bytes += one.n_sent_bytes;
      sum.n_received_bytes += one.n_received_bytes;
    }
    return sum;
  }

 private:
  void load() {
    const std::vector<internal::Device> devices = chosen_devices();
    relays_.clear();
    for (const internal::Device& device : devices) {
      const bool is_known =
          std::find(relays_.begin(), relays_.end(), device.relay) != relays_.end();
      if (device.relay != nullptr && !is_known) relays_.push_back(device.relay);
    }
    try {
      load_on(devices);
      check_servers();
    } catch (...) {
      unload();
      // What llama.cpp says of a server that has gone is not the cause.
      check_servers();
      throw;
    }
  }

  [[nodiscard]] std::vector<internal::Device> chosen_devices() const {
    const internal::DeviceList list(/*with_accelerators=*/true);
    return internal::chosen_devices(options_);
  }

  void load_on(const std::vector<internal::Device>& devices) {
    internal::ModelFileOptions file;
    file.path = options_.path;
    file.n_gpu_layers = options_.n_gpu_layers;
    file.devices = devices;
    file.split_mode = options_.split_mode;
    file.tensor_split = options_.tensor_split;
    file.main_gpu = options_.main_gpu;
    file.use_mmap = options_.use_mmap;
    file.is_batch_invariant = options_.attention == Attention::exact;
    if (options_.accelerators) file.accelerated_types = options_.order_free_types;
    file.on_progress = options_.on_progress;
    internal::PlacementLog placement(log_, devices);
    const internal::DeviceList list(options_.accelerators);
    model_ = internal::load_model_file(file, placement.sink());
    placement_ = placement.placements();
    setup_ = internal::make_context(model_.get(), options_, devices,
                                    is_cancelled_ ? &Impl::ask_cancelled : nullptr, this, log_);
    guarantee_ = internal::audit_passes(setup_.context.get(), setup_.facts);
    if (!relays_.empty()) setup_.cache.check_pass = [this] { check_servers(); };
    llama_context* context = setup_.context.get();
    if (setup_.cache.can_branch()) {
      cache_ = std::make_unique<internal::TreeCache>(context, setup_.cache, log_, is_cancelled_);
    } else {
      cache_ = std::make_unique<internal::ChainCache>(context, setup_.cache, log_, is_cancelled_);
    }
  }

  void unload() {
    // llama.cpp logs while it frees.
    const internal::LogCapture capture(log_);
    cache_.reset();
    setup_.context.reset();
    model_.reset();
  }

  [[nodiscard]] bool is_lost() const {
    return std::any_of(relays_.begin(), relays_.end(),
                       [](const internal::RpcRelay* relay) { return relay->is_lost(); });
  }
  void check_servers() const {
    for (const internal::RpcRelay* relay : relays_) relay->check();
  }

  static bool ask_cancelled(void* impl) {
    try {
      return static_cast<Impl*>(impl)->is_cancelled_();
    } catch (...) {
      // It must not cross llama.cpp's threads; a callback that fails is a wish to stop.
      return true;
    }
  }

  LlamaModelOptions options_;
  internal::LogSink log_;
  std::function<bool()> is_cancelled_;
  std::vector<internal::RpcRelay*> relays_;
  internal::LlamaModelPtr vocabulary_;  // null: the model's own will do
  internal::LlamaModelPtr model_;
  internal::ContextSetup setup_;
  std::unique_ptr<internal::SequenceCache> cache_;
  std::vector<LlamaPlacement> placement_;
  PassGuarantee guarantee_;
  Description description_;
  mutable std::once_flag grammar_tokens_made_;
  mutable std::shared_ptr<const internal::GrammarTokens> grammar_tokens_;
  mutable internal::GrammarCache grammars_;
};

LlamaModel::LlamaModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LlamaModel::~LlamaModel() = default;

std::unique_ptr<LlamaModel> LlamaModel::load(const LlamaModelOptions& options) {
  try {
    return std::unique_ptr<LlamaModel>(new LlamaModel(std::make_unique<Impl>(options)));
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory, "not enough memory for model file \"" + options.path +
                                              "\"; use a smaller model or a shorter context");
  }
}

const ModelLimits& LlamaModel::limits() const { return impl_->limits(); }

bool LlamaModel::is_end(TokenId token) const {
  return index(token) < limits().n_vocab &&
         llama_vocab_is_eog(impl_->vocab(), static_cast<llama_token>(token));
}

SeqId LlamaModel::open() { return impl_->cache().open(); }
void LlamaModel::close(SeqId seq) { impl_->cache().close(seq); }

std::size_t LlamaModel::n_committed(SeqId seq) const { return impl_->cache().n_committed(seq); }

PassOutcome LlamaModel::extend(SeqId seq, std::span<const TokenId> tokens) {
  return impl_->cache().extend(seq, tokens);
}

PassOutcome LlamaModel::evaluate(std::span<const PassNode> nodes) {
  return impl_->cache().evaluate(nodes);
}

std::span<const float> LlamaModel::row(std::size_t i) const {
  return {impl_->cache().row(i), limits().n_vocab};
}

void LlamaModel::commit(SeqId seq, std::span<const PendingId> path) {
  impl_->cache().commit(seq, path);
}

void LlamaModel::truncate(SeqId seq, std::size_t n) { impl_->cache().truncate(seq, n); }
std::size_t LlamaModel::n_restorable(SeqId seq, std::size_t n) const {
  return impl_->cache().n_restorable(seq, n);
}
void LlamaModel::remember(SeqId seq) { impl_->cache().remember(seq); }
std::size_t LlamaModel::n_extra() const { return impl_->cache().n_extra(); }
std::vector<std::uint8_t> LlamaModel::state(SeqId seq) { return impl_->cache().state(seq); }
bool LlamaModel::set_state(SeqId seq, std::span<const std::uint8_t> state, std::size_t n_tokens) {
  return impl_->cache().set_state(seq, state, n_tokens);
}

std::vector<TokenId> LlamaModel::tokenize(std::string_view text,
                                          const TokenizeOptions& options) const {
  return internal::tokenize(impl_->vocab(), text, options);
}

std::string LlamaModel::piece(TokenId token) const {
  if (index(token) >= limits().n_vocab) return {};
  return internal::piece_of(impl_->vocab(), token);
}

std::string LlamaModel::bos_text() const {
  return internal::text_of_token(impl_->vocab(), llama_vocab_bos(impl_->vocab()));
}

std::string LlamaModel::eos_text() const {
  return internal::text_of_token(impl_->vocab(), llama_vocab_eos(impl_->vocab()));
}

std::string LlamaModel::token_text(TokenId token) const {
  if (index(token) >= limits().n_vocab) return {};
  return internal::text_of_token(impl_->vocab(), static_cast<llama_token>(token));
}

LlamaFillTokens LlamaModel::fill_tokens() const {
  const auto some = [](llama_token token) {
    return token == LLAMA_TOKEN_NULL ? std::nullopt
                                     : std::optional(token_id(static_cast<std::size_t>(token)));
  };
  const llama_vocab* vocab = impl_->vocab();
  return {some(llama_vocab_fim_pre(vocab)), some(llama_vocab_fim_suf(vocab)),
          some(llama_vocab_fim_mid(vocab)), some(llama_vocab_fim_rep(vocab)),
          some(llama_vocab_fim_sep(vocab))};
}

LlamaSize LlamaModel::size() const { return impl_->size(); }

std::string LlamaModel::description() const { return impl_->description(); }

std::string LlamaModel::metadata(const std::string& key) const {
  return internal::model_metadata(impl_->vocabulary(), key);
}

int LlamaModel::n_threads() const { return impl_->n_threads(); }

void LlamaModel::restore() { impl_->restore(); }

PassGuarantee LlamaModel::guarantee() const { return impl_->guarantee(); }
LlamaRollback LlamaModel::rollback() const { return impl_->rollback(); }

std::string PassGuarantee::reason() const {
  if (holds || parts.empty()) return {};
  const Part& part = parts.front();
  const std::string where = part.device.empty() ? "" : " on " + part.device;
  return part.operations + where + ": " + part.why;
}

std::vector<LlamaPlacement> LlamaModel::placement() const { return impl_->placement(); }
RpcTraffic LlamaModel::rpc_traffic() const { return impl_->traffic(); }

std::vector<LlamaDevice> LlamaModel::devices(const std::vector<std::string>& rpc_servers,
                                             std::chrono::milliseconds rpc_timeout) {
  const internal::DeviceList list(/*with_accelerators=*/true);
  std::vector<internal::Device> found = internal::find_devices(rpc_servers, rpc_timeout);
  if (const auto cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU); cpu != nullptr) {
    found.push_back({ggml_backend_dev_name(cpu), ggml_backend_dev_description(cpu), cpu, nullptr});
  }
  std::vector<LlamaDevice> devices;
  for (const internal::Device& device : found) {
    LlamaDevice told{device.name, device.description, 0, 0};
    ggml_backend_dev_memory(device.handle, &told.free_bytes, &told.total_bytes);
    if (device.relay != nullptr) device.relay->check();
    devices.push_back(std::move(told));
  }
  return devices;
}

void LlamaModel::require_same_vocabulary(const LlamaModel& target, const LlamaModel& draft) {
  const auto difference =
      internal::vocabulary_difference(target.impl_->vocab(), draft.impl_->vocab());
  if (!difference) return;
  throw Error(ErrorCode::vocabulary_mismatch,
              "target and draft do not share a vocabulary: " + *difference +
                  "; use a draft of the target's family");
}

std::shared_ptr<const Grammar> compile_grammar(const LlamaModel& model, const std::string& gbnf,
                                               const GrammarTrigger& trigger) {
  return model.impl_->grammars().compile(model.impl_->grammar_tokens(), gbnf, trigger);
}

std::shared_ptr<const Grammar> compile_grammar(const LlamaModel& model, const std::string& gbnf) {
  return compile_grammar(model, gbnf, {});
}

std::string LlamaModel::backend_description() {
  internal::LogCapture::install();
  internal::prepare_backends();
  const std::string version = llama_version();
  return "llama.cpp " + version + ": " + llama_print_system_info();
}

std::string LlamaModel::cpu_variant() {
  internal::LogCapture::install();
  return internal::cpu_variant();
}

}  // namespace gumbelspec
