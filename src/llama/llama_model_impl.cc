#include "src/llama/llama_model_impl.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string_view>

#include "gumbelspec/error.h"
#include "src/llama/abort_guard.h"
#include "src/llama/accelerators.h"
#include "src/llama/chain_cache.h"
#include "src/llama/head_cache.h"
#include "src/llama/pass_audit.h"
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

}  // namespace

LlamaModel::Impl::Impl(const LlamaModelOptions& options)
    : options_(options), log_(options.on_log), is_cancelled_(options.is_cancelled) {
  if (options.rpc_timeout < std::chrono::seconds(1)) {
    throw Error(
        ErrorCode::invalid_option,
        "rpc_timeout is " + std::to_string(options.rpc_timeout.count()) + " ms; give at least 1000",
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

void LlamaModel::Impl::restore() {
  if (head_ != HeadKind::none) return;  // its target has no servers
  if (cache_ != nullptr && !is_lost()) return;
  unload();
  load();
}

std::shared_ptr<const Grammar> LlamaModel::Impl::compile_grammar(
    const std::string& gbnf, const GrammarTrigger& trigger) const {
  std::call_once(grammar_tokens_made_,
                 [this] { grammar_tokens_ = internal::read_grammar_tokens(vocab()); });
  return grammars_.compile(grammar_tokens_, gbnf, trigger);
}

internal::SequenceCache& LlamaModel::Impl::cache() {
  if (cache_ == nullptr) {
    throw Error(ErrorCode::peer_lost,
                "the model is not loaded since an RPC server was lost; "
                "call restore()");
  }
  return *cache_;
}

RpcTraffic LlamaModel::Impl::traffic() const {
  RpcTraffic sum;
  for (const internal::RpcRelay* relay : relays_) {
    const RpcTraffic one = relay->traffic();
    sum.n_round_trips += one.n_round_trips;
    sum.n_sent_bytes += one.n_sent_bytes;
    sum.n_received_bytes += one.n_received_bytes;
  }
  return sum;
}

// As info() says it.
std::string LlamaModel::Impl::describe() const {
  if (head_ != HeadKind::mtp) return describe_file(model_.get());
  const int n_layers = llama_model_n_layer_nextn(vocabulary());
  return internal::model_metadata(vocabulary(), "general.architecture") + " MTP, " +
         std::to_string(n_layers) + " layer" + (n_layers == 1 ? "" : "s");
}

// MTP layers have no file of their own: nothing.
LlamaSize LlamaModel::Impl::size_of_file() const {
  if (model_ == nullptr) return {};
  return {llama_model_n_params(model_.get()), llama_model_size(model_.get()),
          static_cast<std::size_t>(llama_model_n_embd(model_.get()))};
}

void LlamaModel::Impl::load() {
  const std::vector<internal::Device> devices = chosen_devices();
  relays_.clear();
  for (const internal::Device& device : devices) {
    const bool is_known = std::find(relays_.begin(), relays_.end(), device.relay) != relays_.end();
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

std::vector<internal::Device> LlamaModel::Impl::chosen_devices() const {
  const internal::DeviceList list(/*with_accelerators=*/true);
  return internal::chosen_devices(options_);
}

void LlamaModel::Impl::load_on(const std::vector<internal::Device>& devices) {
  const internal::DeviceList list(options_.accelerators);
  if (options_.path.empty() && options_.target != nullptr) {
    load_mtp(devices);
    return;
  }
  internal::PlacementLog placement(log_, devices);
  model_ = internal::load_model_file(file_options(devices), placement.sink());
  placement_ = placement.placements();
  try {
    if (make_context(devices)) return;
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

internal::ModelFileOptions LlamaModel::Impl::file_options(
    const std::vector<internal::Device>& devices) const {
  internal::ModelFileOptions file = internal::file_options(options_, devices);
  file.loads_mtp = options_.loads_mtp;
  file.is_batch_invariant = options_.attention == Attention::exact;
  return file;
}

bool LlamaModel::Impl::make_context(const std::vector<internal::Device>& devices) {
  const internal::AbortGuard guard;
  if (options_.target != nullptr && internal::is_eagle3(model_.get())) {
    head_ = HeadKind::eagle3;
    load_head(devices);
    return true;
  }
  internal::check_pieces(llama_model_get_vocab(model_.get()));
  if (options_.loads_mtp) mtp_obstacle_ = internal::mtp_obstacle(options_.path);
  setup_ = internal::make_context(model_.get(), options_, devices,
                                  is_cancelled_ ? &Impl::ask_cancelled : nullptr, this, log_);
  guarantee_ = internal::audit_passes(setup_.context.get(), setup_.facts);
  return false;
}

void LlamaModel::Impl::unload() {
  // llama.cpp logs while it frees.
  const internal::LogCapture capture(log_);
  cache_.reset();
  setup_.context.reset();
  model_.reset();
}

// What a head reads of its target. Throws: Error{invalid_model}.
internal::HeadPlan LlamaModel::Impl::plan_head() const {
  const Impl& target = *options_.target->impl_;
  internal::HeadTarget facts;
  facts.model = target.model_.get();
  facts.is_head = target.head_ != HeadKind::none;
  facts.is_remote = !target.relays_.empty();
  facts.can_branch = target.setup_.cache.can_branch();
  facts.mtp_obstacle = target.mtp_obstacle_;
  return head_ == HeadKind::mtp ? internal::plan_mtp(facts)
                                : internal::plan_eagle3(model_.get(), options_.path, facts, log_);
}

void LlamaModel::Impl::load_head(const std::vector<internal::Device>& devices) {
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

void LlamaModel::Impl::load_mtp(const std::vector<internal::Device>& devices) {
  head_ = HeadKind::mtp;
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

// From now on passes give these states, for a head.
void LlamaModel::Impl::give_states(const internal::StateSource& source) {
  internal::make_states(setup_.context.get(), state_source_, source, /*is_head=*/false);
  static_cast<internal::TreeCache&>(*cache_).use_states(source, 0);
  state_source_ = source;
  description_.limits.n_state = source.size();
}

bool LlamaModel::Impl::is_lost() const {
  return std::any_of(relays_.begin(), relays_.end(),
                     [](const internal::RpcRelay* relay) { return relay->is_lost(); });
}

void LlamaModel::Impl::check_servers() const {
  for (const internal::RpcRelay* relay : relays_) relay->check();
}

bool LlamaModel::Impl::ask_cancelled(void* impl) {
  try {
    return static_cast<Impl*>(impl)->is_cancelled_();
  } catch (...) {
    // It must not cross llama.cpp's threads; a callback that fails is a wish to stop.
    return true;
  }
}

}  // namespace gumbelspec
