// Which tokens are kept, and with which weights, by llama.cpp's own samplers: the oracle of ours.
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gumbelspec/dry_breakers.h"
#include "gumbelspec/llama_model.h"
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
    case Sampler::dry:
      return llama_sampler_init_dry(nullptr, o.dry_multiplier, o.dry_base, o.dry_allowed_length,
                                    o.dry_penalty_last_n, nullptr, 0);
    case Sampler::adaptive_p:
      return llama_sampler_init_adaptive_p(o.adaptive_target, o.adaptive_decay, 1);
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
    if (sampler == Sampler::adaptive_p) continue;
    llama_sampler_chain_add(chain.get(), llama_cpps(sampler, o, logits.size()));
  }
  // It chooses, too, so it is the last one.
  if (o.adaptive_target >= 0.0F &&
      std::count(order.begin(), order.end(), Sampler::adaptive_p) > 0) {
    llama_sampler_chain_add(chain.get(), llama_cpps(Sampler::adaptive_p, o, logits.size()));
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
  o.dry_multiplier = one_of(0.0F, 0.8F, 2.0F);
  o.dry_base = one_of(1.0F, 1.75F);
  o.dry_allowed_length = one_of(0, 1, 2, 4);
  o.dry_penalty_last_n = one_of(0, 7, 64);
  // adaptive-p makes a difference of 0.01 in a probability a large one in a weight.
  o.adaptive_target = one_of(-1.0F, -1.0F, 0.3F, 0.8F);
  if (random() % 2 == 0) {
    std::vector<Sampler> order(kDefaultSamplers.begin(), kDefaultSamplers.end());
    std::shuffle(order.begin(), order.end(), random);
    order.resize(1 + random() % order.size());
    o.samplers = order;
  }
  return o;
}

TEST(Samplers, KeepAndWeighWhatLlamaCppsDo) {
  std::mt19937 random(11);
  std::size_t n_kept = 0;
  for (std::uint64_t seed = 1; seed <= 800; ++seed) {
    const SamplingOptions options = random_options(random);
    // Of few tokens, so that much comes again.
    std::vector<TokenId> text;
    for (int i = 0; i < 40; ++i) text.push_back(token_id(random() % (seed % 3 == 0 ? 2 : 9)));
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

// llama.cpp draws, and ours is told what came: both remember the same.
TEST(Samplers, MirostatAndAdaptivePFollowLlamaCppsAlongATrajectory) {
  std::vector<SamplingOptions> cases(4, SamplingOptions{.temperature = 0.8F});
  cases[0].mirostat = 1;
  cases[1].mirostat = 2;
  cases[1].mirostat_tau = 3.0F;
  cases[1].mirostat_eta = 0.3F;
  cases[2].adaptive_target = 0.4F;
  cases[2].min_p = 0.02F;
  cases[3].adaptive_target = 0.7F;
  cases[3].adaptive_decay = 0.5F;
  cases[3].top_k = 30;
  for (std::size_t c = 0; c < cases.size(); ++c) {
    const SamplingOptions& o = cases[c];
    constexpr std::size_t kTokens = 400;
    std::size_t n_compared = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Chain chain(llama_sampler_chain_init(llama_sampler_chain_default_params()));
      if (o.min_p > 0.0F)
        llama_sampler_chain_add(chain.get(), llama_sampler_init_min_p(o.min_p, 1));
      if (o.top_k > 0) llama_sampler_chain_add(chain.get(), llama_sampler_init_top_k(o.top_k));
      llama_sampler_chain_add(chain.get(), llama_sampler_init_temp(o.temperature));
      const auto id = static_cast<std::uint32_t>(seed);
      llama_sampler_chain_add(
          chain.get(),
          o.mirostat == 1
              ? llama_sampler_init_mirostat(kTokens, id, o.mirostat_tau, o.mirostat_eta, 100)
          : o.mirostat == 2
              ? llama_sampler_init_mirostat_v2(id, o.mirostat_tau, o.mirostat_eta)
              : llama_sampler_init_adaptive_p(o.adaptive_target, o.adaptive_decay, id));
      LogWeights pipeline(o, kTokens);
      std::vector<TokenId> text = {TokenId{3}};
      for (int i = 0; i < 50; ++i) {
        std::vector<float> logits(kTokens);
        fill_noise({seed, 1}, position_after(text.size()), logits);
        for (float& x : logits) x *= 1.5F;
        std::vector<llama_token_data> data;
        for (std::size_t t = 0; t < kTokens; ++t) {
          data.push_back({static_cast<llama_token>(t), logits[t], 0.0F});
        }
        llama_token_data_array array{data.data(), data.size(), -1, false};
        llama_sampler_apply(chain.get(), &array);
        std::vector<double> expected(kTokens, -std::numeric_limits<double>::infinity());
        for (std::size_t k = 0; k < array.size; ++k) {
          expected[static_cast<std::size_t>(array.data[k].id)] =
              static_cast<double>(array.data[k].logit);
        }
        const std::span<const float> got = pipeline(logits, {text, {}});
        std::vector<double> log_p(got.begin(), got.end());
        normalise(expected);
        normalise(log_p);
        std::size_t n_other = 0;
        for (std::size_t t = 0; t < kTokens; ++t) {
          if (std::isinf(log_p[t]) != std::isinf(expected[t])) ++n_other;
        }
        // Where mirostat's number of tokens is next to a whole one, its floats may round another
        // way than doubles; what comes then is another trajectory.
        if (n_other == 1 && o.mirostat != 0) break;
        // And where the number does not fit into its int, llama.cpp keeps one token, ours all.
        if (n_other == kTokens - 1 && o.mirostat == 1 && array.size == 1) break;
        ASSERT_EQ(n_other, 0U) << "case " << c << ", seed " << seed << ", step " << i;
        for (std::size_t t = 0; t < kTokens; ++t) {
          if (std::isinf(log_p[t])) continue;
          ASSERT_NEAR(log_p[t], expected[t], 2e-3)
              << "case " << c << ", seed " << seed << ", step " << i << ", token " << t;
        }
        ++n_compared;
        const llama_token token = array.data[array.selected].id;
        llama_sampler_accept(chain.get(), token);
        text.push_back(static_cast<TokenId>(token));
      }
    }
    EXPECT_GT(n_compared, 900U) << "case " << c;
  }
}

// With breakers, on texts of the demo pair's vocabulary.
TEST(Samplers, DryFindsTheBreakersThatLlamaCppFinds) {
  LlamaModelOptions options;
  options.path = GUMBELSPEC_MODELS_DIR "/demo-draft-q8_0.gguf";
  options.n_context = 64;
  const auto model = LlamaModel::load(options);
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  const std::unique_ptr<llama_model, decltype(&llama_model_free)> vocabulary(
      llama_model_load_from_file(options.path.c_str(), params), &llama_model_free);
  const llama_vocab* vocab = llama_model_get_vocab(vocabulary.get());
  const std::vector<std::string> texts = {"\n", ":", "\"", "the", "and he", " of"};
  std::vector<const char*> pointers;
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  SamplingOptions o;
  o.dry_multiplier = 0.8F;
  o.dry_allowed_length = 1;
  o.dry_penalty_last_n = 60;
  o.dry_breakers = dry_breakers(*model, texts);
  EXPECT_GT(o.dry_breakers->size(), texts.size());
  SamplingOptions unbroken = o;
  unbroken.dry_breakers = nullptr;
  const std::size_t n = model->limits().n_vocab;
  std::mt19937 random(5);
  const std::vector<TokenId> words = model->tokenize(
      "he said: \"the old and hearty man of the\nhouse\" and the and he and her of caf\u00e9s an");
  const Chain dry(llama_sampler_init_dry(vocab, o.dry_multiplier, o.dry_base, o.dry_allowed_length,
                                         o.dry_penalty_last_n, pointers.data(), pointers.size()));
  LogWeights pipeline(o, n);
  LogWeights without(unbroken, n);
  std::size_t n_penalised = 0;
  std::size_t n_broken = 0;
  for (int c = 0; c < 100; ++c) {
    // Some words over and over, with others among them.
    std::vector<TokenId> text;
    const std::size_t first = random() % words.size();
    for (std::size_t i = 0; i < 80; ++i) {
      text.push_back(
          words[random() % 8 == 0 ? random() % words.size() : (first + i % 6) % words.size()]);
    }
    llama_sampler_reset(dry.get());
    for (const TokenId token : text)
      llama_sampler_accept(dry.get(), static_cast<llama_token>(token));
    std::vector<llama_token_data> data;
    for (std::size_t t = 0; t < n; ++t) data.push_back({static_cast<llama_token>(t), 0.0F, 0.0F});
    llama_token_data_array array{data.data(), data.size(), -1, false};
    llama_sampler_apply(dry.get(), &array);
    const std::vector<float> zeros(n, 0.0F);
    const std::span<const float> got = pipeline(zeros, {text, {}});
    for (std::size_t t = 0; t < n; ++t) {
      ASSERT_FLOAT_EQ(got[t], data[t].logit) << "text " << c << ", token " << t;
      if (got[t] < 0.0F) ++n_penalised;
    }
    const std::span<const float> other = without(zeros, {text, {}});
    n_broken += std::equal(other.begin(), other.end(), got.begin()) ? 0 : 1;
  }
  EXPECT_GT(n_penalised, 50U);
  EXPECT_GT(n_broken, 20U);
}

}  // namespace
}  // namespace gumbelspec
