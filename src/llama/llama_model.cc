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
#include "src/llama/abort_guard.h"
#include "src/llama/accelerators.h"
#include "src/llama/backends.h"
#include "src/llama/chain_cache.h"
#include "src/llama/context_setup.h"
#include "src/llama/devices.h"
#include "src/llama/grammar.h"
#include "src/llama/head_cache.h"
#include "src/llama/head_plan.h"
#include "src/llama/hidden_states.h"
#include "src/llama/model_file.h"
#include "src/llama/pass_audit.h"
#include "src/llama/sequence_cache.h"
#include "src/llama/tree_cache.h"
#include "src/llama/utf8.h"
#include "src/llama/vocabulary.h"

namespace gumbelspec {

namespace {

std::string describe_file(const llama_model* model) {
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
    description_ = {describe(), setup_.limits, setup_.rollback, size_of_file(), setup_.n_threads};
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
    if (head_ != HeadKind::none) return;  // its target has no servers
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
    if (vocabulary_) return vocabulary_.get();
    return model_ ? model_.get() : options_.target->impl_->vocabulary();
  }
  [[nodiscard]] HeadKind head_kind() const { return head_; }
  [[nodiscard]] bool has_mtp() const { return mtp_obstacle_.empty(); }
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
  // As info() says it.
  [[nodiscard]] std::string describe() const {
    if (head_ != HeadKind::mtp) return describe_file(model_.get());
    return internal::model_metadata(vocabulary(), "general.architecture") + " MTP, " +
           std::to_string(llama_model_n_layer_nextn(vocabulary())) + " layer" +
           (llama_model_n_layer_nextn(vocabulary()) == 1 ? "" : "s");
  }

  // MTP layers have no file of their own: nothing.
  [[nodiscard]] LlamaSize size_of_file() const {
    if (model_ == nullptr) return {};
    return {llama_model_n_params(model_.get()), llama_model_size(model_.get()),
            static_cast<std::size_t>(llama_model_n_embd(model_.get()))};
  }

  // From now on passes give these states, for a head.
  void give_states(const internal::StateSource& source) {
    internal::make_states(setup_.context.get(), state_source_, source, /*is_head=*/false);
    static_cast<internal::TreeCache&>(*cache_).use_states(source, 0);
    state_source_ = source;
    description_.limits.n_state = source.size();
  }

  // What a head reads of its target. Throws: Error{invalid_model}.
  [[nodiscard]] internal::HeadPlan plan_head() const {
    Impl& target = *options_.target->impl_;
    internal::HeadTarget facts;
    facts.model = target.model_.get();
    facts.is_head = target.head_ != HeadKind::none;
    facts.is_remote = !target.relays_.empty();
    facts.can_branch = target.setup_.cache.can_branch();
    facts.mtp_obstacle = target.mtp_obstacle_;
    return head_ == HeadKind::mtp ? internal::plan_mtp(facts)
                                  : internal::plan_eagle3(model_.get(), options_.path, facts, log_);
  }

  void load_head(const std::vector<internal::Device>& devices) {
    Impl& target = *options_.target->impl_;
    const internal::HeadPlan plan = plan_head();
    llama_model* model = head_ == HeadKind::mtp ? target.model_.get() : model_.get();
    setup_ = internal::make_context(model, options_, devices,
                                    is_cancelled_ ? &Impl::ask_cancelled : nullptr, this, log_,
                                    {.kind = head_, .target = target.setup_.context.get()});
    setup_.limits.n_input_state = plan.states.size();
    setup_.limits.max_context = std::max(setup_.limits.max_context, setup_.limits.n_context);
    target.give_states(plan.states);
    cache_ = std::make_unique<internal::HeadCache>(head_, plan.states.size(), plan.n_own,
                                                   setup_.context.get(), setup_.cache, log_,
                                                   is_cancelled_);
  }

  // Throws: Error{invalid_model} where llama.cpp's graph of these layers asks for what the file has
  // not, which mtp_obstacle() should have told.
  void load_mtp(const std::vector<internal::Device>& devices) {
    head_ = HeadKind::mtp;
    const internal::DeviceList list(options_.accelerators);
    try {
      const internal::AbortGuard guard;
      load_head(devices);
    } catch (const internal::AbortError& error) {
      throw Error(ErrorCode::invalid_model,
                  std::string("the target's MTP layers cannot be used by llama.cpp: ") +
                      error.what() + "; leave them out (--no-mtp), or convert the model again",
                  "path");
    }
  }

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
    if (options_.path.empty() && options_.target != nullptr) {
      load_mtp(devices);
      return;
    }
    internal::ModelFileOptions file;
    file.loads_mtp = options_.loads_mtp;
    file.path = options_.path;
    file.n_gpu_layers = options_.n_gpu_layers;
    file.devices = devices;
    file.split_mode = options_.split_mode;
    file.tensor_split = options_.tensor_split;
    file.main_gpu = options_.main_gpu;
    file.use_mmap = options_.use_mmap;
    file.use_mlock = options_.use_mlock;
    file.use_direct_io = options_.use_direct_io;
    file.numa = options_.numa;
    file.overrides = options_.overrides;
    file.weight_places = options_.weight_places;
    file.is_batch_invariant = options_.attention == Attention::exact;
    if (options_.accelerators) file.accelerated_types = options_.order_free_types;
    file.on_progress = options_.on_progress;
    internal::PlacementLog placement(log_, devices);
    const internal::DeviceList list(options_.accelerators);
    model_ = internal::load_model_file(file, placement.sink());
    placement_ = placement.placements();
    try {
      const internal::AbortGuard guard;
      if (options_.target != nullptr && internal::is_eagle3(model_.get())) {
        head_ = HeadKind::eagle3;
        load_head(devices);
        return;
      }
      internal::check_pieces(llama_model_get_vocab(model_.get()));
      if (options_.loads_mtp) mtp_obstacle_ = internal::mtp_obstacle(options_.path);
      setup_ = internal::make_context(model_.get(), options_, devices,
                                      is_cancelled_ ? &Impl::ask_cancelled : nullptr, this, log_);
      guarantee_ = internal::audit_passes(setup_.context.get(), setup_.facts);
    } catch (const internal::AbortError& error) {
      throw Error(ErrorCode::invalid_model,
                  "model file " + internal::printable(options_.path) +
                      " cannot be used by llama.cpp: " + error.what() + "; convert it again",
                  "path");
    }
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
  HeadKind head_ = HeadKind::none;
  std::string mtp_obstacle_ = "has no MTP layers loaded (LlamaModelOptions::loads_mtp)";
  internal::StateSource state_source_;  // of the states that passes give to a head
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

PassOutcome LlamaModel::extend_after(SeqId seq, std::span<const TokenId> tokens,
                                     std::span<const float> states) {
  return impl_->cache().extend_after(seq, tokens, states);
}
void LlamaModel::copy_state(std::size_t i, std::span<float> out) const {
  impl_->cache().copy_state(i, out);
}
HeadKind LlamaModel::head_kind() const { return impl_->head_kind(); }
bool LlamaModel::has_mtp() const { return impl_->has_mtp(); }

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

std::vector<TokenId> LlamaModel::suppressed_tokens() const {
  std::int32_t n = 0;
  const llama_token* tokens = llama_vocab_get_suppress_tokens(impl_->vocab(), &n);
  std::vector<TokenId> ids;
  for (std::int32_t i = 0; tokens != nullptr && i < n; ++i) {
    ids.push_back(static_cast<TokenId>(tokens[i]));
  }
  return ids;
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

std::vector<LlamaPlacement> LlamaModel::placement() const { return impl_->placement(); }
RpcTraffic LlamaModel::rpc_traffic() const { return impl_->traffic(); }

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

}  // namespace gumbelspec
