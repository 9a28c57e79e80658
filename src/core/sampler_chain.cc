#include "src/core/sampler_chain.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "src/core/mass_math.h"
#include "src/core/penalties.h"

namespace gumbelspec {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();
// What a draft leaves out: e^-16 of the likeliest token.
constexpr float kDepthOfDraft = 16.0F;
// Of xtc's coins; the rejection methods have 1 and 2.
constexpr std::uint32_t kCoinUse = 3;

bool has_xtc(const SamplingOptions& o) {
  return o.xtc_probability > 0.0F && o.xtc_threshold <= 0.5F;
}

bool is_on(Sampler sampler, const SamplingOptions& o) {
  switch (sampler) {
    case Sampler::penalties:
      return has_penalties(o);
    case Sampler::dry:
      return o.dry_multiplier > 0.0F && o.dry_penalty_last_n != 0;
    case Sampler::top_n_sigma:
      return o.top_n_sigma > 0.0F;
    case Sampler::top_k:
      return o.top_k > 0;
    case Sampler::typical_p:
      return o.typical_p < 1.0F;
    case Sampler::top_p:
      return o.top_p < 1.0F;
    case Sampler::min_p:
      return o.min_p > 0.0F;
    case Sampler::xtc:
      return has_xtc(o);
    case Sampler::temperature:
      return o.temperature != 1.0F || o.dynatemp_range > 0.0F;
    case Sampler::adaptive_p:
      return false;  // it works after all others: SamplerMemory says whether
  }
  return false;
}

std::vector<Sampler> those_on(std::span<const Sampler> order, const SamplingOptions& options) {
  std::vector<Sampler> out;
  for (const Sampler sampler : order) {
    if (is_on(sampler, options)) out.push_back(sampler);
  }
  return out;
}

constexpr std::array kBeforeMirostat = {Sampler::temperature};

std::span<const Sampler> order_of(const SamplingOptions& options) {
  if (options.mirostat != 0 && options.temperature > 0.0F) return kBeforeMirostat;
  return options.samplers ? std::span<const Sampler>(*options.samplers)
                          : std::span<const Sampler>(kDefaultSamplers);
}

}  // namespace

bool SamplerChain::is_needed(const SamplingOptions& o) {
  if (o.min_keep > 1 && (o.top_p < 1.0F || o.min_p > 0.0F)) return true;
  if (SamplerMemory::is_needed(o) || is_on(Sampler::dry, o)) return true;
  if (o.top_n_sigma > 0.0F || o.typical_p < 1.0F || has_xtc(o) || o.dynatemp_range > 0.0F) {
    return true;
  }
  return those_on(order_of(o), o) != those_on(kDefaultSamplers, o);
}

SamplerChain::SamplerChain(const SamplingOptions& options, std::size_t n_vocab)
    : options_(options),
      order_(those_on(order_of(options), options)),
      counts_(n_vocab),
      weights_(n_vocab) {
  entries_.reserve(n_vocab);
  if (is_on(Sampler::dry, options_)) repetitions_.emplace(options_);
  if (SamplerMemory::is_needed(options_)) memory_.emplace(options_);
  // As llama.cpp has it.
  if (memory_ && options_.mirostat != 0) options_.dynatemp_range = 0.0F;
}

void SamplerChain::forget_text() {
  if (memory_) memory_->forget();
}

KeptRow SamplerChain::run(std::span<const float> row, const TextView& text, NoiseKey key,
                          bool is_of_draft) {
  begin(row, is_of_draft);
  for (const Sampler sampler : order_) {
    if (entries_.empty()) break;
    apply(sampler, text, key);
  }
  if (memory_) {
    const SamplerMemory::State state = is_of_draft ? memory_->first() : memory_->before(text);
    if (!is_of_draft) memory_->chances().clear();
    if (options_.mirostat == 0 && !entries_.empty()) adaptive_p(state);
    if (options_.mirostat != 0 && !entries_.empty() && !is_of_draft) mirostat(state);
  }
  return finish();
}

void SamplerChain::apply(Sampler sampler, const TextView& text, NoiseKey key) {
  switch (sampler) {
    case Sampler::penalties:
      return penalties(text);
    case Sampler::dry:
      return dry(text);
    case Sampler::top_n_sigma:
      return top_n_sigma();
    case Sampler::top_k:
      return top_k();
    case Sampler::typical_p:
      return typical_p();
    case Sampler::top_p:
      return top_p();
    case Sampler::min_p:
      return min_p();
    case Sampler::xtc:
      return xtc(text, key);
    case Sampler::temperature:
      return temperature();
    case Sampler::adaptive_p:
      return;
  }
}

void SamplerChain::begin(std::span<const float> row, bool is_of_draft) {
  float least = std::numeric_limits<float>::lowest();
  if (is_of_draft) {
    float most = kForbidden;
    for (const float weight : row) most = weight > most ? weight : most;
    least = std::max(least, most - kDepthOfDraft);
  }
  entries_.clear();
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i] >= least) entries_.push_back({row[i], token_id(i)});
  }
  n_forbidden_ = row.size() - entries_.size();
  is_sorted_ = false;
}

KeptRow SamplerChain::finish() {
  const std::size_t n_vocab = counts_.size();
  KeptRow out;
  if (entries_.size() > KeptRow::most_listed(n_vocab)) {
    std::fill(weights_.begin(), weights_.end(), kForbidden);
    for (const Entry& entry : entries_) weights_[index(entry.token)] = entry.weight;
    return KeptRow::of(weights_);
  }
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.token < b.token; });
  tokens_.clear();
  sorted_weights_.clear();
  for (const Entry& entry : entries_) {
    tokens_.push_back(entry.token);
    sorted_weights_.push_back(entry.weight);
  }
  return {.tokens = tokens_, .weights = sorted_weights_, .factor = 1.0F, .is_whole = false};
}

// Likeliest first; of equal weights the smaller id.
void SamplerChain::sort() {
  if (is_sorted_) return;
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
  });
  is_sorted_ = true;
}

// Requires: sorted.
void SamplerChain::keep_first(std::size_t n) {
  n_forbidden_ = n > entries_.size() ? std::min(n_forbidden_, n - entries_.size()) : 0;
  if (n < entries_.size()) entries_.resize(n);
}

void SamplerChain::compute_probabilities() {
  sort();
  const auto most = static_cast<double>(entries_.front().weight);
  probabilities_.resize(entries_.size());
  double sum = 0.0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    probabilities_[i] = std::exp(static_cast<double>(entries_[i].weight) - most);
    sum += probabilities_[i];
  }
  for (double& p : probabilities_) p /= sum;
}

void SamplerChain::penalties(const TextView& text) {
  const std::size_t first = first_penalised(text, options_.penalty_last_n);
  count_tokens(text, first, counts_);
  for (Entry& entry : entries_) {
    const std::uint32_t count = counts_[index(entry.token)];
    if (count > 0) entry.weight = penalised(entry.weight, count, options_);
  }
  for (std::size_t i = first; i < text.size(); ++i) {
    if (index(text[i]) < counts_.size()) counts_[index(text[i])] = 0;
  }
  is_sorted_ = false;
}

void SamplerChain::dry(const TextView& text) {
  const auto base = static_cast<double>(options_.dry_base);
  // So that no power overflows a float.
  const double most = options_.dry_base > 1.000001F ? 88.7228391 / std::log(base) : 0.0;
  constexpr double kMostPenalty = 1e30;
  const std::span<const Repetitions::Repeat> repeats = repetitions_->find(text);
  for (const Repetitions::Repeat& repeat : repeats) {
    if (index(repeat.token) < counts_.size()) {
      counts_[index(repeat.token)] = static_cast<std::uint32_t>(repeat.length) + 1;
    }
  }
  for (Entry& entry : entries_) {
    const std::uint32_t length = counts_[index(entry.token)];
    if (length == 0) continue;
    double exponent = static_cast<double>(length - 1) - options_.dry_allowed_length;
    if (most >= 1.0) exponent = std::min(exponent, std::floor(most));
    const double penalty = static_cast<double>(options_.dry_multiplier) * std::pow(base, exponent);
    entry.weight -= static_cast<float>(std::min(penalty, kMostPenalty));
  }
  for (const Repetitions::Repeat& repeat : repeats) {
    if (index(repeat.token) < counts_.size()) counts_[index(repeat.token)] = 0;
  }
  is_sorted_ = false;
}

void SamplerChain::top_n_sigma() {
  if (entries_.size() + n_forbidden_ <= 1) return;
  // In the order of the weights, so that a token's place in the list does not matter.
  sort();
  const auto n = static_cast<double>(entries_.size());
  double sum = 0.0;
  for (const Entry& entry : entries_) sum += static_cast<double>(entry.weight);
  const double mean = sum / n;
  double squares = 0.0;
  for (const Entry& entry : entries_) {
    const double difference = static_cast<double>(entry.weight) - mean;
    squares += difference * difference;
  }
  const double least = static_cast<double>(entries_.front().weight) -
                       static_cast<double>(options_.top_n_sigma) * std::sqrt(squares / n);
  const auto end = std::partition_point(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return static_cast<double>(entry.weight) >= least;
  });
  n_forbidden_ += static_cast<std::size_t>(entries_.end() - end);
  entries_.erase(end, entries_.end());
}

void SamplerChain::top_k() {
  sort();
  keep_first(static_cast<std::size_t>(options_.top_k));
}

void SamplerChain::typical_p() {
  compute_probabilities();
  double entropy = 0.0;
  for (const double p : probabilities_) entropy -= p > 0.0 ? p * std::log(p) : 0.0;
  // Not what a temperature next to 0 has left no probability.
  by_surprise_.clear();
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    if (probabilities_[i] > 0.0) by_surprise_.push_back(i);
  }
  distances_.resize(entries_.size());
  for (std::size_t i = 0; i < distances_.size(); ++i) {
    distances_[i] = std::abs(-std::log(probabilities_[i]) - entropy);
  }
  // Of equal distances the likelier token; a stable sort would need memory.
  std::sort(by_surprise_.begin(), by_surprise_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return distances_[a] != distances_[b] ? distances_[a] < distances_[b] : a < b;
  });
  double sum = 0.0;
  std::size_t n = 0;
  while (n < by_surprise_.size()) {
    sum += probabilities_[by_surprise_[n++]];
    if (sum > static_cast<double>(options_.typical_p) && n >= min_keep()) break;
  }
  by_surprise_.resize(n);
  std::sort(by_surprise_.begin(), by_surprise_.end());
  for (std::size_t i = 0; i < n; ++i) entries_[i] = entries_[by_surprise_[i]];
  entries_.resize(n);
  n_forbidden_ = 0;
}

void SamplerChain::top_p() {
  sort();
  const float most = entries_.front().weight;
  masses_.resize(entries_.size());
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    masses_[i] = mass_of(entries_[i].weight, most);
    total += masses_[i];
  }
  const auto wanted = static_cast<std::uint64_t>(
      std::ceil(static_cast<double>(options_.top_p) * static_cast<double>(total)));
  std::uint64_t sum = 0;
  std::size_t n = 0;
  while (n < entries_.size()) {
    sum += masses_[n++];
    if (sum >= wanted && n >= min_keep()) break;
  }
  // Forbidden tokens count for what is kept at least, as they do there.
  keep_first(std::max(n, min_keep()));
}

void SamplerChain::min_p() {
  sort();
  const float least = entries_.front().weight + std::log(options_.min_p);
  const auto end = std::partition_point(entries_.begin(), entries_.end(),
                                        [&](const Entry& entry) { return entry.weight >= least; });
  keep_first(std::max(static_cast<std::size_t>(end - entries_.begin()), min_keep()));
}

void SamplerChain::xtc(const TextView& text, NoiseKey key) {
  if (entries_.size() + n_forbidden_ < 2) return;
  const double coin = uniform_at({key.seed, key.stream, kCoinUse}, position_after(text.size()), 0);
  if (coin > static_cast<double>(options_.xtc_probability)) return;
  compute_probabilities();
  std::size_t n = 0;  // at least as likely as the threshold
  while (n < entries_.size() && probabilities_[n] >= static_cast<double>(options_.xtc_threshold)) {
    ++n;
  }
  // All of them but the last one go.
  if (n < 2 || entries_.size() + n_forbidden_ - (n - 1) < min_keep()) return;
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(n - 1));
}

void SamplerChain::temperature() {
  auto at = static_cast<double>(options_.temperature);
  if (options_.dynatemp_range > 0.0F) {
    const std::size_t n_all = entries_.size() + n_forbidden_;
    if (n_all <= 1) return;
    compute_probabilities();
    double entropy = 0.0;
    for (const double p : probabilities_) entropy -= p > 0.0 ? p * std::log(p) : 0.0;
    const double share = std::max(entropy, 0.0) / std::log(static_cast<double>(n_all));
    const auto range = static_cast<double>(options_.dynatemp_range);
    const double least = std::max(0.0, at - range);
    at = least +
         (at + range - least) * std::pow(share, static_cast<double>(options_.dynatemp_exponent));
  }
  // Below this, scaled logits overflow, and the likeliest token is all there is.
  constexpr double kLeast = 1e-4;
  if (at < kLeast) {
    sort();
    keep_first(1);
    return;
  }
  const auto factor = static_cast<float>(1.0 / at);
  for (Entry& entry : entries_) entry.weight *= factor;
}

}  // namespace gumbelspec
