// Whole texts with the less common samplers: the distribution is the enumerated one, and a seed has
// one text whatever drafts.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "gumbelspec/session.h"
#include "testing/row_model.h"
#include "testing/selftest_checks.h"

namespace gumbelspec::testing {
namespace {

struct Setting {
  std::string name;
  SamplingOptions options;
};

std::vector<Setting> settings() {
  SamplingOptions mixed{.temperature = 0.9F, .top_k = 5, .repeat_penalty = 1.2F};
  mixed.top_n_sigma = 2.0F;
  mixed.typical_p = 0.95F;
  mixed.xtc_probability = 0.5F;
  mixed.xtc_threshold = 0.15F;
  mixed.dynatemp_range = 0.4F;
  mixed.min_keep = 2;
  SamplingOptions ordered{.temperature = 0.7F, .top_p = 0.8F};
  ordered.samplers = std::vector<Sampler>{Sampler::temperature, Sampler::top_p};
  SamplingOptions xtc;
  xtc.xtc_probability = 0.6F;
  xtc.xtc_threshold = 0.2F;
  SamplingOptions dry{.temperature = 0.8F};
  dry.dry_multiplier = 1.5F;
  dry.dry_allowed_length = 1;
  dry.dry_penalty_last_n = -1;
  dry.dry_breakers = std::make_shared<const std::vector<DryBreaker>>(
      std::vector<DryBreaker>{{TokenId{3}, {}}, {TokenId{1}, {TokenId{2}}}});
  // Sharp enough to cut a vocabulary of a few tokens from the first row on.
  SamplingOptions mirostat_1;
  mirostat_1.mirostat = 1;
  mirostat_1.mirostat_tau = 0.8F;
  mirostat_1.mirostat_eta = 0.5F;
  SamplingOptions mirostat_2 = mirostat_1;
  mirostat_2.mirostat = 2;
  SamplingOptions adaptive{.min_p = 0.02F};
  adaptive.adaptive_target = 0.4F;
  adaptive.adaptive_decay = 0.5F;
  return {{"mixed", mixed},
          {"ordered", ordered},
          {"xtc", xtc},
          {"dry", dry},
          {"mirostat 1", mirostat_1},
          {"mirostat 2", mirostat_2},
          {"adaptive-p", adaptive}};
}

TEST(SamplersDistribution, IsTheTargetsWithEveryKindOfMethod) {
  // 5,000 texts a case; false-alarm rate 1e-5 each.
  std::uint64_t first_seed = 1;
  for (const Setting& setting : settings()) {
    for (const char* method :
         {"ar", "gumbel-beam:width=3,length=3", "gumbel-chain:length=3", "rejection:length=3",
          "rejection-tree:width=3,length=3", "block:length=3"}) {
      const CheckResult result = check_distribution(
          {setting.name, setting.options, parse_method(method)}, Sabotage::none, 5000, first_seed);
      EXPECT_TRUE(result.passed) << setting.name << ", " << method << ": " << result.detail;
      first_seed += 5000;
    }
  }
}

TEST(SamplersDistribution, WouldNotPassWithOtherOptions) {
  // The negative control: texts without the coin, held against the mixture with it.
  DistributionCase wrong{"wrong", settings()[2].options, parse_method("ar")};
  wrong.sampling.xtc_probability = 1.0F;
  const CheckResult right = check_distribution(wrong, Sabotage::none, 5000);
  EXPECT_TRUE(right.passed) << right.detail;
  const CheckResult sabotaged = check_distribution(
      {"noise", settings()[2].options, parse_method("gumbel-beam:width=4,length=3")},
      Sabotage::reused_noise, 30000);
  EXPECT_FALSE(sabotaged.passed) << sabotaged.detail;
}

TEST(SamplersText, OfASeedIsTheSameWithEveryMethod) {
  for (const std::size_t n_vocab : {std::size_t{300}, std::size_t{1500}}) {
    RowModel target({.n_vocab = n_vocab});
    RowModel draft({.n_vocab = n_vocab, .own_seed = 5, .own_share = 0.3F});
    for (const Setting& setting : settings()) {
      std::vector<std::vector<TokenId>> texts;
      for (const char* method : {"ar", "greedy-chain", "gumbel-chain",
                                 "gumbel-beam:width=3,length=4", "gumbel-tree:nodes=12"}) {
        TextOptions options;
        options.sampling = setting.options;
        options.method = parse_method(method);
        options.max_tokens = 30;
        options.seed = 3;
        Session session(target, &draft, options);
        Outcome outcome = session.start(std::vector<TokenId>{TokenId{1}, TokenId{2}});
        while (outcome == Outcome::running) outcome = session.step();
        std::vector<TokenId> text;
        for (const GeneratedToken& t : session.generated()) text.push_back(t.token);
        texts.push_back(text);
        EXPECT_EQ(texts.back(), texts.front()) << setting.name << ", " << method;
      }
      EXPECT_EQ(texts.front().size(), 30U);
    }
  }
}

}  // namespace
}  // namespace gumbelspec::testing
