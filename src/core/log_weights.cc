#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "gumbelspec/error.h"
#include "gumbelspec/sampling.h"
#include "src/core/mass_math.h"
#include "src/core/penalties.h"
#include "src/core/sampler_chain.h"
#include "src/core/truncation.h"
#include "src/core/vector_kernels.h"

namespace gumbelspec {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

std::string number(float value) {
  std::string text = std::to_string(value);
  text.erase(std::min(text.find_last_not_of('0') + 1, text.size()));
  if (text.back() == '.') text.pop_back();
  return text;
}

// is_valid is written so that NaN fails it.
void require(bool is_valid, const std::string& field, const std::string& value,
             const std::string& limit) {
  if (is_valid) return;
  throw Error(ErrorCode::invalid_option, field + " is " + value + ", but must be " + limit, field);
}

void require_possible(const LogitBias& bias) {
  const std::string token = std::to_string(static_cast<std::int32_t>(bias.token));
  const std::string field = "logit_bias";
  if (static_cast<std::int32_t>(bias.token) < 0) {
    throw Error(ErrorCode::invalid_option,
                field + " has token " + token + ", but must have token ids >= 0", field);
  }
  if (!(bias.bias <= std::numeric_limits<float>::max())) {
    throw Error(ErrorCode::invalid_option,
                field + " of token " + token + " is " + number(bias.bias) +
                    ", but must be a number below infinity (-infinity: forbidden)",
                field);
  }
}

constexpr std::size_t kMostSamplers = 64;

void require_possible(const std::optional<std::vector<Sampler>>& samplers, float temperature) {
  if (!samplers) return;
  const std::string n = std::to_string(samplers->size());
  require(samplers->size() <= kMostSamplers, "samplers", "a list of " + n,
          "a list of at most " + std::to_string(kMostSamplers));
  const bool has_temperature =
      std::find(samplers->begin(), samplers->end(), Sampler::temperature) != samplers->end();
  require(temperature > 0.0F || has_temperature, "samplers", "a list without the temperature",
          "one with it at temperature 0");
}

// Of dry, mirostat and adaptive-p.
void validate_repetitions(const SamplingOptions& o) {
  constexpr float kMost = std::numeric_limits<float>::max();
  require(o.dry_multiplier >= 0.0F && o.dry_multiplier <= kMost, "dry_multiplier",
          number(o.dry_multiplier), "a number >= 0 (0: off)");
  require(o.dry_base >= 1.0F && o.dry_base <= kMost, "dry_base", number(o.dry_base),
          "a number >= 1");
  require(o.dry_allowed_length >= 0, "dry_allowed_length", std::to_string(o.dry_allowed_length),
          ">= 0");
  require(o.dry_penalty_last_n >= -1, "dry_penalty_last_n", std::to_string(o.dry_penalty_last_n),
          ">= -1 (-1: the whole text, 0: off)");
  require(o.mirostat >= 0 && o.mirostat <= 2, "mirostat", std::to_string(o.mirostat),
          "0 (off), 1 or 2");
  require(o.mirostat_tau >= 0.0F && o.mirostat_tau <= kMost, "mirostat_tau", number(o.mirostat_tau),
          "a number >= 0");
  require(o.mirostat_eta >= 0.0F && o.mirostat_eta <= 1.0F, "mirostat_eta", number(o.mirostat_eta),
          "in [0, 1]");
  require(o.adaptive_target <= 1.0F && o.adaptive_target >= -kMost, "adaptive_target",
          number(o.adaptive_target), "at most 1 (below 0: off)");
  require(o.adaptive_decay >= 0.0F && o.adaptive_decay <= 0.99F, "adaptive_decay",
          number(o.adaptive_decay), "in [0, 0.99]");
}

}  // namespace

void validate(const SamplingOptions& o) {
  constexpr float kMost = std::numeric_limits<float>::max();
  require(o.temperature >= 0.0F && o.temperature <= kMost, "temperature", number(o.temperature),
          "a number >= 0 (0: always the likeliest token)");
  // Below this the scaled logits overflow; the text is that of temperature 0 long before.
  require(o.temperature == 0.0F || o.temperature >= 1e-4F, "temperature", number(o.temperature),
          "0 or at least 0.0001; use 0 for the likeliest token");
  require(o.top_k >= 0, "top_k", std::to_string(o.top_k), ">= 0 (0: off)");
  require(o.top_p > 0.0F && o.top_p <= 1.0F, "top_p", number(o.top_p), "in (0, 1] (1: off)");
  require(o.min_p >= 0.0F && o.min_p <= 1.0F, "min_p", number(o.min_p), "in [0, 1] (0: off)");
  require(o.repeat_penalty > 0.0F && o.repeat_penalty <= kMost, "repeat_penalty",
          number(o.repeat_penalty), "> 0 (1: off)");
  require(std::abs(o.presence_penalty) <= kMost, "presence_penalty", number(o.presence_penalty),
          "a finite number (0: off)");
  require(std::abs(o.frequency_penalty) <= kMost, "frequency_penalty", number(o.frequency_penalty),
          "a finite number (0: off)");
  require(o.penalty_last_n >= -1, "penalty_last_n", std::to_string(o.penalty_last_n),
          ">= -1 (-1: the whole text, 0: off)");
  for (const LogitBias& bias : o.logit_bias) require_possible(bias);
  require(o.min_keep >= 0, "min_keep", std::to_string(o.min_keep), ">= 0 (0: off)");
  require(std::abs(o.top_n_sigma) <= kMost, "top_n_sigma", number(o.top_n_sigma),
          "a finite number (0 or less: off)");
  require(o.typical_p > 0.0F && o.typical_p <= 1.0F, "typical_p", number(o.typical_p),
          "in (0, 1] (1: off)");
  require(o.xtc_probability >= 0.0F && o.xtc_probability <= 1.0F, "xtc_probability",
          number(o.xtc_probability), "in [0, 1] (0: off)");
  require(o.xtc_threshold >= 0.0F && o.xtc_threshold <= 1.0F, "xtc_threshold",
          number(o.xtc_threshold), "in [0, 1] (above 0.5: off)");
  require(o.dynatemp_range >= 0.0F && o.dynatemp_range <= kMost, "dynatemp_range",
          number(o.dynatemp_range), "a number >= 0 (0: off)");
  require(o.dynatemp_range == 0.0F || o.temperature > 0.0F, "dynatemp_range",
          number(o.dynatemp_range),
          "0 at temperature 0, which always takes the likeliest token; raise the temperature");
  require(o.dynatemp_exponent > 0.0F && o.dynatemp_exponent <= kMost, "dynatemp_exponent",
          number(o.dynatemp_exponent), "a number > 0 (1: straight)");
  validate_repetitions(o);
  require_possible(o.samplers, o.temperature);
}

KeptRow KeptRow::below(std::size_t n_vocab) const {
  KeptRow row = *this;
  if (is_whole) {
    row.weights = weights.first(std::min(weights.size(), n_vocab));
    return row;
  }
  const auto end = std::lower_bound(tokens.begin(), tokens.end(), n_vocab,
                                    [](TokenId token, std::size_t n) { return index(token) < n; });
  row.tokens = tokens.first(static_cast<std::size_t>(end - tokens.begin()));
  row.weights = weights.first(row.tokens.size());
  return row;
}

LogWeights::LogWeights(SamplingOptions options, std::size_t n_vocab)
    : options_(std::move(options)), weights_(n_vocab) {
  validate(options_);
  if (SamplerChain::is_needed(options_)) {
    chain_ = std::make_unique<SamplerChain>(options_, n_vocab);
  }
  has_penalties_ = !chain_ && has_penalties(options_);
  if (has_penalties_) counts_.resize(n_vocab);
  if (!chain_ && (options_.top_k > 0 || options_.top_p < 1.0F || options_.min_p > 0.0F)) {
    truncation_ = std::make_unique<Truncation>(n_vocab);
    least_ratio_ = std::log(options_.min_p);
  }
  require(options_.top_p == 1.0F || n_vocab <= kMostMasses, "top-p", number(options_.top_p),
          "1 with a vocabulary of more than " + std::to_string(kMostMasses) + " tokens");
}

LogWeights::LogWeights(LogWeights&&) noexcept = default;
LogWeights& LogWeights::operator=(LogWeights&&) noexcept = default;
LogWeights::~LogWeights() = default;

bool LogWeights::keeps_memory() const { return chain_ && chain_->keeps_memory(); }

void LogWeights::forget_text() {
  if (chain_) chain_->forget_text();
}

// The row with biases, penalties and the mask; the row itself where there are none.
std::span<const float> LogWeights::prepared(std::span<const float> logits, const TextView& text,
                                            std::span<const std::uint32_t> allowed) {
  const bool changes_some = has_penalties_ || !options_.logit_bias.empty();
  if (!changes_some && allowed.empty()) return logits;
  const float* from = logits.data();
  if (changes_some) {
    std::copy(logits.begin(), logits.end(), weights_.begin());
    for (const LogitBias& b : options_.logit_bias) {
      if (index(b.token) < weights_.size()) weights_[index(b.token)] += b.bias;
    }
    if (has_penalties_) apply_penalties(text);
    from = weights_.data();
  }
  if (!allowed.empty()) {
    vector_kernels().keep_allowed(from, allowed.data(), weights_.data(), weights_.size());
  }
  return weights_;
}

KeptRow LogWeights::kept_of(std::span<const float> logits, const TextView& text,
                            std::span<const std::uint32_t> allowed, bool is_of_draft) {
  const std::span<const float> row = prepared(logits, text, allowed);
  return chain_ ? chain_->run(row, text, key_, is_of_draft) : truncated(row, is_of_draft);
}

KeptRow LogWeights::truncated(std::span<const float> row, bool is_of_draft) {
  KeptRow result = KeptRow::of(row);
  if (truncation_ && truncation_->begin(row)) {
    if (options_.top_k > 0) truncation_->keep_top_k(static_cast<std::size_t>(options_.top_k));
    if (options_.top_p < 1.0F) truncation_->keep_top_p(options_.top_p, is_of_draft);
    if (options_.min_p > 0.0F) truncation_->keep_within(least_ratio_);
    result = truncation_->finish(weights_, is_of_draft);
  }
  if (uses_noise()) result.factor = 1.0F / options_.temperature;
  return result;
}

KeptRow LogWeights::kept(std::span<const float> logits, const TextView& text,
                         std::span<const std::uint32_t> allowed) {
  return kept_of(logits, text, allowed, /*is_of_draft=*/false);
}

KeptRow LogWeights::kept_of_draft(std::span<const float> logits, const TextView& text,
                                  std::span<const std::uint32_t> allowed) {
  return kept_of(logits, text, allowed, /*is_of_draft=*/true);
}

std::span<const float> LogWeights::operator()(std::span<const float> logits, const TextView& text,
                                              std::span<const std::uint32_t> allowed) {
  const KeptRow row = kept(logits, text, allowed);
  if (row.is_whole && row.factor == 1.0F) return row.weights;
  if (row.is_whole) {
    vector_kernels().scale(row.weights.data(), row.factor, weights_.data(), weights_.size());
    return weights_;
  }
  std::fill(weights_.begin(), weights_.end(), kForbidden);
  for (std::size_t i = 0; i < row.size(); ++i) {
    weights_[index(row.tokens[i])] = row.weights[i] * row.factor;
  }
  return weights_;
}

void LogWeights::apply_penalties(const TextView& text) {
  const std::size_t first = first_penalised(text, options_.penalty_last_n);
  count_tokens(text, first, counts_);
  for (std::size_t i = first; i < text.size(); ++i) {
    if (index(text[i]) >= counts_.size()) continue;
    // The first visit applies the whole count, and leaves none for the next ones.
    const std::uint32_t count = std::exchange(counts_[index(text[i])], 0U);
    if (count == 0) continue;
    float& weight = weights_[index(text[i])];
    weight = penalised(weight, count, options_);
  }
}

}  // namespace gumbelspec
