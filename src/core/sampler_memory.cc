#include "src/core/sampler_memory.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace gumbelspec {

bool SamplerMemory::is_needed(const SamplingOptions& o) {
  if (o.temperature == 0.0F) return false;
  if (o.mirostat != 0) return true;
  if (o.adaptive_target < 0.0F) return false;
  return !o.samplers || std::find(o.samplers->begin(), o.samplers->end(), Sampler::adaptive_p) !=
                            o.samplers->end();
}

SamplerMemory::SamplerMemory(const SamplingOptions& o)
    : is_mirostat_(o.mirostat != 0),
      target_(static_cast<double>(is_mirostat_ ? o.mirostat_tau : o.adaptive_target)),
      rate_(static_cast<double>(is_mirostat_ ? o.mirostat_eta : o.adaptive_decay)) {}

void SamplerMemory::forget() { states_.clear(); }

SamplerMemory::State SamplerMemory::first() const {
  if (is_mirostat_) return {2.0 * target_, 0.0};
  return {target_ / (1.0 - rate_), 1.0 / (1.0 - rate_)};
}

SamplerMemory::State SamplerMemory::before(const TextView& text) {
  if (states_.empty()) {
    n_first_ = text.size();
    states_.push_back(first());
  }
  const std::size_t n = text.size();
  if (n < n_first_ || n > n_first_ + states_.size()) {
    throw std::logic_error("LogWeights: with mirostat or adaptive-p, positions come in turn");
  }
  if (n == n_first_ + states_.size()) states_.push_back(after(states_.back(), text[n - 1]));
  states_.resize(n - n_first_ + 1);
  return states_.back();
}

SamplerMemory::State SamplerMemory::after(const State& state, TokenId token) const {
  const auto found = std::find_if(chances_.begin(), chances_.end(),
                                  [&](const Chance& chance) { return chance.token == token; });
  // Somebody else's choice says nothing.
  if (found == chances_.end() || !(found->p > 0.0)) return state;
  if (is_mirostat_) return {state.sum - rate_ * (-std::log2(found->p) - target_), 0.0};
  return {found->p + rate_ * state.sum, 1.0 + rate_ * state.weight};
}

}  // namespace gumbelspec
