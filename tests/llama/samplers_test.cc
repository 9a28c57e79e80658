// Which tokens are kept, and with which weights, by llama.cpp's own samplers: the oracle of ours.
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "gumbelspec/noise.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec {
namespace {

struct SamplerFree {
  void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
};
using Chain = std::unique_ptr<llama_sampler, SamplerFree>;

llama_sampler* llama_cpps(Sampler sampler, const SamplingOptions& o, std::size_t n_vocab) {
  const auto min_keep = static_cast<std::size_t>(o.min_keep);
  switch (sampler) {
    case Sampler::penalties:
      return llama_sampler_init_penalties(static_cast<std::int32_t>(n_vocab), o.penalty_last_n,
                                          o.repeat_penalty, o.frequency_penalty,
                                          o.presence_penalty);
    case Sampler::top_n_sigma:
      return llama_sampler_init_top_n_sigma(o.top_n_sigma);
    case Sampler::top_k:
      return llama_sampler_init_top_k(o.top_k);
    case Sampler::typical_p:
      return llama_sampler_init_typical(o.typical_p, min_keep);
    case Sampler::top_p:
      return llama_sampler_init_top_p(o.top_p, min_keep);
    case Sampler::min_p:
      return llama_sampler_init_min_p(o.min_p, min_keep);
    case Sampler::xtc:
      return llama_sampler_init_xtc(o.xtc_probability, o.xtc_threshold, min_keep, 1);
    case Sampler::temperature:
      return llama_sampler_init_temp_ext(o.temperature, o.dynatemp_range, o.dynatemp_exponent);
  }
  return nullptr;
}

// log p of what llama.cpp would draw from, -infinity for what it would not.
std::vector<double> llama_cpps_log_p(const SamplingOptions& o, std::span<const float> logits,
                                     std::span<const TokenId> text) {
  Chain chain(llama_sampler_chain_init(llama_sampler_chain_default_params()));
  const std::vector<Sampler> order =
      o.samplers.value_or(std::vector<Sampler>(kDefaultSamplers.begin(), kDefaultSamplers.end()));
  for (const Sampler sampler : order) {
    llama_sampler_chain_add(chain.get(), llama_cpps(sampler, o, logits.size()));
  }
  for (const TokenId token : text) {
    llama_sampler_accept(chain.get(), static_cast<llama_token>(token));
  }
  std::vector<llama_token_data> data;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    data.push_back({static_cast<llama_token>(i), logits[i], 0.0F});
  }
  llama_token_data_array array{data.data(), data.size(), -1, false};
  llama_sampler_apply(chain.get(), &array);
  std::vector<double> out(logits.size(), -std::numeric_limits<double>::infinity());
  for (std::size_t i = 0; i < array.size; ++i) {
    out[static_cast<std::size_t>(array.data[i].id)] = static_cast<double>(array.data[i].logit);
  }
  return out;
}

void normalise(std::vector<double>& log_p) {
  const double most = *std::max_element(log_p.begin(), log_p.end());
  double sum = 0.0;
  for (const double x : log_p) sum += std::exp(x - most);
  for (double& x : log_p) x -= most + std::log(sum);
}

SamplingOptions random_options(std::mt19937& random) {
  const auto one_of = [&](auto... values) {
    const std::common_type_t<decltype(values)...> list[] = {values...};
    return list[random() % std::size(list)];
  };
  SamplingOptions o;
  o.temperature = one_of(1.0F, 0.6F, 1.6F);
  o.top_k = one_of(0, 0, 40);
  o.top_p = one_of(1.0F, 0.9F, 0.5F);
  o.min_p = one_of(0.0F, 0.0F, 0.05F);
  o.min_keep = one_of(0, 1, 3, 20);
  o.top_n_sigma = one_of(-1.0F, -1.0F, 1.0F, 2.5F);
  // Where a cut has left tokens of no probability, llama.cpp's typical-p computes 0 log 0.
  o.typical_p = o.top_n_sigma > 0.0F ? 1.0F : one_of(1.0F, 0.9F, 0.4F);
  o.xtc_probability = one_of(0.0F, 1.0F);  // its coins are not ours
  o.xtc_threshold = one_of(0.05F, 0.2F, 0.6F);
  // Nor where a temperature near 0 has.
  o.dynatemp_range = o.typical_p < 1.0F ? 0.0F : one_of(0.0F, 0.5F, 1.2F);
  o.dynatemp_exponent = one_of(1.0F, 2.0F);
  o.repeat_penalty = one_of(1.0F, 1.4F);
  o.frequency_penalty = one_of(0.0F, 0.3F);
  o.penalty_last_n = one_of(0, 4, 64);
  if (random() % 2 == 0) {
    std::vector<Sampler> order(kDefaultSamplers.begin(), kDefaultSamplers.end());
    std::shuffle(order.begin(), order.end(), random);
    order.resize(1 + random() % order.size());
    o.samplers = order;
  }
  return o;
}

TEST(Samplers, KeepAndWeighWhatLlamaCppsDo) {
  const std::vector<TokenId> text = {TokenId{1}, TokenId{9}, TokenId{3}, TokenId{1},
                                     TokenId{2}, TokenId{9}, TokenId{7}};
  std::mt19937 random(11);
  std::size_t n_kept = 0;
  for (std::uint64_t seed = 1; seed <= 800; ++seed) {
    const SamplingOptions options = random_options(random);
    const std::size_t n = seed % 4 == 0 ? 2500 : 120;
    std::vector<float> logits(n);
    fill_noise({seed, 0}, Position{0}, logits);
    for (float& x : logits) x *= seed % 2 == 0 ? 2.0F : 0.7F;
    std::vector<double> expected = llama_cpps_log_p(options, logits, text);
    LogWeights pipeline(options, n);
    const std::span<const float> got = pipeline(logits, {text, {}});
    std::vector<double> log_p(got.begin(), got.end());
    normalise(expected);
    normalise(log_p);
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(std::isinf(log_p[i]), std::isinf(expected[i]))
          << "token " << i << ", case " << seed;
      if (std::isinf(log_p[i])) continue;
      ASSERT_NEAR(log_p[i], expected[i], 1e-3 * std::max(1.0, std::abs(expected[i])))
          << "token " << i << ", case " << seed;
      ++n_kept;
    }
  }
  EXPECT_GT(n_kept, 10000U);
}

}  // namespace
}  // namespace gumbelspec
