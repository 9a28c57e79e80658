#include "gumbelspec/pair.h"

#include <utility>

#include "gumbelspec/error.h"
#include "gumbelspec/simd.h"
#include "src/pair/cost_cache.h"
#include "src/pair/kernels.h"

namespace gumbelspec {
namespace {

// A draft of a smaller context than its target's drafts as far as its own goes.
std::unique_ptr<LlamaModel> load_draft(const LlamaModelOptions& options) {
  try {
    return LlamaModel::load(options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::invalid_option) throw;
    LlamaModelOptions own = options;
    own.n_context = 0;
    return LlamaModel::load(own);
  }
}

}  // namespace

LlamaModelOptions draft_options(const std::string& path, const LlamaModelOptions& target_options,
                                const ModelLimits& target) {
  LlamaModelOptions options = target_options;
  options.path = path;
  options.devices.clear();
  options.rpc_servers.clear();
  options.tensor_split.clear();
  options.split_mode = SplitMode::layer;
  options.main_gpu = 0;
  options.n_context = target.n_context;
  options.attention = Attention::fast;
  // They belong to the target's file.
  options.rope = {};
  options.overrides.clear();
  options.weight_places.clear();
  options.loras.clear();
  options.control_vectors.clear();
  // What it drafts in several passes is dropped from a copy.
  options.n_snapshots = 0;
  options.loads_mtp = false;
  return options;
}

Pair::Pair() = default;
Pair::Pair(Pair&&) noexcept = default;
Pair& Pair::operator=(Pair&&) noexcept = default;
Pair::~Pair() {
  // Null where the draft could not be loaded.
  if (cache_) keep();
}

Pair Pair::load(const PairOptions& options) {
  // One line for a wrong name now, not in the middle of a text.
  (void)simd_in_use();
  LlamaModelOptions target = options.target;
  // Before a model is loaded: its weights go into the kernels' own layout then.
  if (options.uses_kernels) {
    register_kernels();
    target.order_free_types = order_free_types();
  }
  Pair pair;
  target.loads_mtp = options.uses_mtp && !options.draft;
  pair.target_ = LlamaModel::load(target);
  LlamaModelOptions draft;
  if (options.draft) draft = options.draft(*pair.target_);
  const bool is_mtp = !options.draft && pair.target_->has_mtp();
  if (is_mtp) draft = draft_options("", target, pair.target_->limits());
  if (!draft.path.empty() || is_mtp) {
    draft.target = pair.target_.get();
    draft.order_free_types = target.order_free_types;
    pair.draft_ = load_draft(draft);
    pair.translated_ = translate_draft(*pair.target_, *pair.draft_);
  }
  pair.cache_ = std::make_unique<CostCache>(*pair.target_, pair.draft_.get(),
                                            CostCache::Loaded{.target = target.path,
                                                              .draft = draft.path,
                                                              .rpc_servers = target.rpc_servers,
                                                              .details = loading_details(target),
                                                              .attention = target.attention,
                                                              .uses_kernels = options.uses_kernels},
                                            options.uses_cost_cache);
  pair.calibrations_ = pair.cache_->calibrations();
  return pair;
}

Pair Pair::load(const std::string& target, const std::string& draft) {
  PairOptions options;
  options.target.path = target;
  if (!draft.empty()) {
    options.draft = [&](const LlamaModel& loaded) {
      return draft_options(draft, options.target, loaded.limits());
    };
  }
  return load(options);
}

std::shared_ptr<CostModel> Pair::costs(const CostMeasurement& measurement) {
  if (costs_) return costs_;
  costs_ = cache_->costs();
  if (costs_) return costs_;
  costs_ = std::make_shared<CostModel>(draft() != nullptr
                                           ? measure_costs(*target_, *draft(), measurement)
                                           : measure_costs(*target_, measurement));
  if (costs_->is_steady) cache_->keep(*costs_);
  return costs_;
}

void Pair::keep() const { cache_->keep(*calibrations_); }

}  // namespace gumbelspec
