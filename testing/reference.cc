#include "testing/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace gumbelspec::testing {
namespace {

constexpr double kForbidden = -std::numeric_limits<double>::infinity();

std::vector<double> softmax(const std::vector<double>& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p(logits.size());
  for (std::size_t i = 0; i < p.size(); ++i) p[i] = std::exp(logits[i] - largest);
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

void penalise(std::vector<double>& logits, const SamplingOptions& o,
              std::span<const TokenId> text) {
  const std::size_t window =
      o.penalty_last_n < 0 ? text.size()
                           : std::min(text.size(), static_cast<std::size_t>(o.penalty_last_n));
  const std::span<const TokenId> last = text.last(window);
  for (std::size_t t = 0; t < logits.size(); ++t) {
    const auto count = std::count(last.begin(), last.end(), token_id(t));
    if (count == 0) continue;
    const auto penalty = static_cast<double>(o.repeat_penalty);
    logits[t] = logits[t] > 0.0 ? logits[t] / penalty : logits[t] * penalty;
    logits[t] -= static_cast<double>(o.presence_penalty) +
                 static_cast<double>(count) * static_cast<double>(o.frequency_penalty);
  }
}

// What llama.cpp's list of candidates holds: those cut off are not in it, forbidden ones are, with
// a logit of -infinity.
struct Candidates {
  std::vector<double> logits;
  std::vector<char> is_in;

  [[nodiscard]] std::size_t size() const {
    return static_cast<std::size_t>(std::count(is_in.begin(), is_in.end(), 1));
  }
  // Best first; of equal logits the smaller id.
  [[nodiscard]] std::vector<std::size_t> sorted() const {
    std::vector<std::size_t> order;
    for (std::size_t t = 0; t < logits.size(); ++t) {
      if (is_in[t] != 0) order.push_back(t);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t x, std::size_t y) { return logits[x] > logits[y]; });
    return order;
  }
  void remove(std::size_t t) {
    is_in[t] = 0;
    logits[t] = kForbidden;
  }
  void keep(std::size_t n) {
    const std::vector<std::size_t> order = sorted();
    for (std::size_t i = n; i < order.size(); ++i) remove(order[i]);
  }
};

double entropy_of(const std::vector<double>& p) {
  double sum = 0.0;
  for (const double x : p) sum -= x > 0.0 ? x * std::log(x) : 0.0;
  return sum;
}

void cut_sigma(Candidates& c, double n) {
  std::vector<double> finite;
  for (const double x : c.logits) {
    if (x > kForbidden) finite.push_back(x);
  }
  const auto size = static_cast<double>(finite.size());
  const double mean = std::accumulate(finite.begin(), finite.end(), 0.0) / size;
  double variance = 0.0;
  for (const double x : finite) variance += (x - mean) * (x - mean) / size;
  const double least = *std::max_element(finite.begin(), finite.end()) - n * std::sqrt(variance);
  for (double& x : c.logits) {
    if (x < least) x = kForbidden;
  }
}

void cut_typical(Candidates& c, double p_most, std::size_t min_keep) {
  const std::vector<double> p = softmax(c.logits);
  const double entropy = entropy_of(p);
  std::vector<std::size_t> order;
  for (const std::size_t t : c.sorted()) {
    if (p[t] > 0.0) order.push_back(t);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) {
    return std::abs(-std::log(p[x]) - entropy) < std::abs(-std::log(p[y]) - entropy);
  });
  double sum = 0.0;
  std::size_t n = 0;
  while (n < order.size() && (sum <= p_most || n < min_keep)) sum += p[order[n++]];
  order.resize(n);
  for (std::size_t t = 0; t < c.logits.size(); ++t) {
    if (std::find(order.begin(), order.end(), t) == order.end()) c.remove(t);
  }
}

void cut_top_p(Candidates& c, double p_most, std::size_t min_keep) {
  const std::vector<double> p = softmax(c.logits);
  const std::vector<std::size_t> order = c.sorted();
  double sum = 0.0;
  std::size_t n = 0;
  while (n < order.size() && (sum < p_most || n < min_keep)) sum += p[order[n++]];
  c.keep(n);
}

void cut_min_p(Candidates& c, double share, std::size_t min_keep) {
  const std::vector<double> p = softmax(c.logits);
  const std::vector<std::size_t> order = c.sorted();
  std::size_t n = 0;
  while (n < order.size() && (p[order[n]] >= share * p[order[0]] || n < min_keep)) ++n;
  c.keep(n);
}

// Where its coin falls so.
void cut_xtc(Candidates& c, double threshold, std::size_t min_keep) {
  const std::vector<double> p = softmax(c.logits);
  const std::vector<std::size_t> order = c.sorted();
  std::size_t n = 0;
  while (n < order.size() && p[order[n]] >= threshold) ++n;
  if (n < 2 || c.size() - (n - 1) < min_keep) return;
  for (std::size_t i = 0; i + 1 < n; ++i) c.remove(order[i]);
}

void heat(Candidates& c, const SamplingOptions& o) {
  auto temperature = static_cast<double>(o.temperature);
  if (o.dynatemp_range > 0.0F) {
    if (c.size() <= 1) return;
    const double share = entropy_of(softmax(c.logits)) / std::log(static_cast<double>(c.size()));
    const double low = std::max(0.0, temperature - static_cast<double>(o.dynatemp_range));
    const double high = temperature + static_cast<double>(o.dynatemp_range);
    temperature = low + (high - low) * std::pow(share, static_cast<double>(o.dynatemp_exponent));
  }
  if (temperature < 1e-4) return c.keep(1);
  for (double& x : c.logits) x /= temperature;
}

// Whether a breaker stands in the text from place i on.
bool breaks_at(const SamplingOptions& o, std::span<const TokenId> text, std::size_t i,
               std::size_t& n_longest) {
  if (!o.dry_breakers) return false;
  bool is_found = false;
  for (const DryBreaker& breaker : *o.dry_breakers) {
    const std::size_t n = breaker.tail.size();
    if (breaker.head != text[i] || i + n >= text.size() ||
        !std::equal(breaker.tail.begin(), breaker.tail.end(),
                    text.begin() + static_cast<std::ptrdiff_t>(i) + 1)) {
      continue;
    }
    n_longest = is_found ? std::max(n_longest, n) : n;
    is_found = true;
  }
  return is_found;
}

// Every earlier place is compared with the text's end, token by token.
void penalise_repetitions(std::vector<double>& logits, const SamplingOptions& o,
                          std::span<const TokenId> text) {
  if (o.dry_multiplier <= 0.0F || o.dry_penalty_last_n == 0) return;
  if (o.dry_penalty_last_n > 0) {
    text = text.last(std::min(text.size(), static_cast<std::size_t>(o.dry_penalty_last_n)));
  }
  const auto n_allowed = static_cast<std::size_t>(o.dry_allowed_length);
  const std::size_t n = text.size();
  if (n <= n_allowed) return;
  std::size_t longest = n;
  for (std::size_t i = n; i-- > 0;) {
    std::size_t n_tail = 0;
    if (!breaks_at(o, text, i, n_tail)) continue;
    longest = n - 1 - i - n_tail;
    break;
  }
  if (longest < n_allowed) return;
  std::vector<std::size_t> lengths(logits.size(), 0);  // 1 more than the repetition; 0: none
  for (std::size_t end = 1; end < n; ++end) {          // text[end] would come again
    std::size_t length = 0;
    while (length < end && text[end - 1 - length] == text[n - 1 - length]) ++length;
    length = std::min(length, longest);
    std::size_t& most = lengths[index(text[end])];
    if (length >= n_allowed) most = std::max(most, length + 1);
  }
  for (std::size_t t = 0; t < logits.size(); ++t) {
    std::size_t n_tail = 1;
    const TokenId one[] = {token_id(t)};
    if (lengths[t] == 0 || (breaks_at(o, one, 0, n_tail) && n_tail == 0)) continue;
    logits[t] -=
        static_cast<double>(o.dry_multiplier) *
        std::pow(static_cast<double>(o.dry_base), static_cast<double>(lengths[t] - 1 - n_allowed));
  }
}

void cut_mirostat(Candidates& c, int version, double most_surprise) {
  const std::vector<double> p = softmax(c.logits);
  const std::vector<std::size_t> order = c.sorted();
  std::size_t n = 0;
  if (version == 2) {
    while (n < order.size() && -std::log2(p[order[n]]) <= most_surprise) ++n;
  } else {
    double tb = 0.0;
    double tt = 0.0;
    for (std::size_t i = 0; i < 99 && i + 1 < order.size(); ++i) {
      const double t = std::log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
      tb += t * std::log(p[order[i]] / p[order[i + 1]]);
      tt += t * t;
    }
    const double s = tb / tt;
    const double k = std::pow((s - 1.0) * std::pow(2.0, most_surprise) /
                                  (1.0 - std::pow(static_cast<double>(p.size()), 1.0 - s)),
                              1.0 / s);
    n = k >= 1.0 ? static_cast<std::size_t>(std::min(k, 1e6)) : 0;
  }
  c.keep(std::max<std::size_t>(n, 1));
}

void prefer(Candidates& c, double wanted) {
  const std::vector<double> p = softmax(c.logits);
  for (std::size_t t = 0; t < p.size(); ++t) {
    const double d = std::abs(p[t] - wanted) / 0.3;
    if (c.logits[t] > kForbidden) c.logits[t] = 5.0 - 10.0 * d * d / (1.0 + d);
  }
}

std::vector<double> sampled(Candidates c, const SamplingOptions& o, std::span<const TokenId> text,
                            std::span<const Sampler> rest) {
  const auto min_keep = static_cast<std::size_t>(o.min_keep);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    switch (rest[i]) {
      case Sampler::penalties:
        penalise(c.logits, o, text);
        break;
      case Sampler::dry:
        penalise_repetitions(c.logits, o, text);
        break;
      case Sampler::adaptive_p:
        break;  // AdaptiveReference
      case Sampler::top_n_sigma:
        if (o.top_n_sigma > 0.0F) cut_sigma(c, static_cast<double>(o.top_n_sigma));
        break;
      case Sampler::top_k:
        if (o.top_k > 0) c.keep(static_cast<std::size_t>(o.top_k));
        break;
      case Sampler::typical_p:
        if (o.typical_p < 1.0F) cut_typical(c, static_cast<double>(o.typical_p), min_keep);
        break;
      case Sampler::top_p:
        if (o.top_p < 1.0F) cut_top_p(c, static_cast<double>(o.top_p), min_keep);
        break;
      case Sampler::min_p:
        if (o.min_p > 0.0F) cut_min_p(c, static_cast<double>(o.min_p), min_keep);
        break;
      case Sampler::xtc: {
        if (o.xtc_probability <= 0.0F || o.xtc_threshold > 0.5F) break;
        Candidates cut = c;
        cut_xtc(cut, static_cast<double>(o.xtc_threshold), min_keep);
        const std::vector<double> p_cut = sampled(cut, o, text, rest.subspan(i + 1));
        std::vector<double> p = sampled(c, o, text, rest.subspan(i + 1));
        const auto share = static_cast<double>(o.xtc_probability);
        for (std::size_t t = 0; t < p.size(); ++t) p[t] = share * p_cut[t] + (1.0 - share) * p[t];
        return p;
      }
      case Sampler::temperature:
        heat(c, o);
        break;
    }
  }
  return softmax(c.logits);
}

}  // namespace

std::vector<double> reference_probabilities(std::span<const float> row, const SamplingOptions& o,
                                            std::span<const TokenId> text) {
  Candidates c{{row.begin(), row.end()}, std::vector<char>(row.size(), 1)};
  for (const LogitBias& b : o.logit_bias) c.logits[index(b.token)] += static_cast<double>(b.bias);
  const auto order = o.samplers ? std::span<const Sampler>(*o.samplers)
                                : std::span<const Sampler>(kDefaultSamplers);
  return sampled(std::move(c), o, text, order);
}

void AdaptiveReference::start() {
  const auto decay = static_cast<double>(options_.adaptive_decay);
  weight_ = 1.0 / (1.0 - decay);
  sum_ = static_cast<double>(options_.adaptive_target) * weight_;
  surprise_ = 2.0 * static_cast<double>(options_.mirostat_tau);
}

std::vector<double> AdaptiveReference::probabilities(std::span<const float> row,
                                                     std::span<const TokenId> text) {
  if (options_.mirostat != 0) {
    Candidates c{{row.begin(), row.end()}, std::vector<char>(row.size(), 1)};
    for (double& x : c.logits) x /= static_cast<double>(options_.temperature);
    cut_mirostat(c, options_.mirostat, surprise_);
    chances_ = softmax(c.logits);
    return chances_;
  }
  chances_ = reference_probabilities(row, options_, text);
  if (options_.adaptive_target < 0.0F) return chances_;
  Candidates c{{}, {}};
  for (const double p : chances_) {
    c.logits.push_back(std::log(p));
    c.is_in.push_back(p > 0.0 ? 1 : 0);
  }
  prefer(c, std::clamp(2.0 * static_cast<double>(options_.adaptive_target) - sum_ / weight_, 0.0,
                       1.0));
  return softmax(c.logits);
}

void AdaptiveReference::choose(TokenId token) {
  const double p = chances_[index(token)];
  if (p <= 0.0) return;  // a text of probability 0
  const auto decay = static_cast<double>(options_.adaptive_decay);
  surprise_ -= static_cast<double>(options_.mirostat_eta) *
               (-std::log2(p) - static_cast<double>(options_.mirostat_tau));
  sum_ = p + decay * sum_;
  weight_ = 1.0 + decay * weight_;
}

std::vector<double> joint_probabilities(const TableModel& model, const SamplingOptions& options,
                                        std::span<const TokenId> prompt, std::size_t n) {
  AdaptiveReference reference(options);
  const std::size_t n_vocab = model.limits().n_vocab;
  std::vector<TokenId> text(prompt.begin(), prompt.end());
  std::vector<double> joint = {1.0};
  for (std::size_t level = 0; level < n; ++level) {
    std::vector<double> next;
    next.reserve(joint.size() * n_vocab);
    for (std::size_t outcome = 0; outcome < joint.size(); ++outcome) {
      text.resize(prompt.size() + level);
      for (std::size_t i = level, rest = outcome; i-- > 0; rest /= n_vocab) {
        text[prompt.size() + i] = token_id(rest % n_vocab);
      }
      reference.start();
      std::vector<double> p;
      for (std::size_t i = 0; i <= level; ++i) {
        const auto before = std::span<const TokenId>(text).first(prompt.size() + i);
        if (i < level && !reference.has_memory()) continue;
        p = reference.probabilities(model.logits(before), before);
        if (i < level) reference.choose(text[prompt.size() + i]);
      }
      for (const double x : p) next.push_back(joint[outcome] * x);
    }
    joint = std::move(next);
  }
  return joint;
}

}  // namespace gumbelspec::testing
