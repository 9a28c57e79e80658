// What the self-test makes of texts that differ.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "apps/cli/selftest_identity.h"
#include "apps/cli/selftest_report.h"
#include "testing/table_model.h"

namespace gumbelspec::apps::cli {
namespace {

GeneratedToken token(int id, int runner_up, float margin) {
  GeneratedToken t;
  t.token = TokenId{id};
  t.runner_up = TokenId{runner_up};
  t.margin = margin;
  return t;
}

IdentityResult result(std::size_t n_texts, const std::vector<float>& margins) {
  MethodIdentity method{Method{}, n_texts, 0, {}};
  for (const float margin : margins) {
    Difference difference;
    difference.margin = margin;
    method.differences.push_back(difference);
  }
  return {{method}};
}

TEST(Identity, TheCommonPrefixEndsWhereTheTextsDiffer) {
  const std::vector<GeneratedToken> a = {token(1, 2, 1), token(2, 3, 1), token(3, 4, 1)};
  const std::vector<GeneratedToken> b = {token(1, 2, 1), token(4, 3, 1), token(3, 4, 1)};
  EXPECT_EQ(common_prefix(a, a), 3U);
  EXPECT_EQ(common_prefix(a, b), 1U);
  EXPECT_EQ(common_prefix(a, std::span(a).first(2)), 2U);
  EXPECT_EQ(common_prefix(a, {}), 0U);
}

TEST(Identity, TheMarginIsTheOneBetweenTheTwoCandidates) {
  const testing::TableModel target({.n_vocab = 6, .seed = 1, .spread = 1.0F});
  const auto margin = [&](const GeneratedToken& a, const GeneratedToken& b) {
    return margin_at(std::span(&a, 1), std::span(&b, 1), 0, target);
  };
  EXPECT_EQ(margin(token(1, 2, 0.1F), token(2, 3, 0.5F)), 0.1F);
  EXPECT_EQ(margin(token(1, 3, 0.1F), token(2, 1, 0.5F)), 0.5F);
  // Neither run had the other's token in second place: at least the larger one.
  EXPECT_EQ(margin(token(1, 3, 0.1F), token(2, 4, 0.5F)), 0.5F);
}

TEST(Identity, TheMarginOfAnEndIsKnownOnlyIfTheOtherRunHadItInSecondPlace) {
  const testing::TableModel target({.n_vocab = 6, .seed = 1, .spread = 1.0F, .end = TokenId{2}});
  const GeneratedToken next_to_the_end = token(1, 2, 0.1F);
  const GeneratedToken elsewhere = token(1, 3, 0.1F);
  EXPECT_EQ(margin_at(std::span(&next_to_the_end, 1), {}, 0, target), 0.1F);
  EXPECT_EQ(margin_at({}, std::span(&next_to_the_end, 1), 0, target), 0.1F);
  EXPECT_TRUE(std::isinf(margin_at(std::span(&elsewhere, 1), {}, 0, target)));
}

TEST(Identity, IsExactWithoutADifference) { EXPECT_EQ(result(60, {}).verdict(), Verdict::exact); }

TEST(Identity, IsNearlyExactWithFewCloseRaces) {
  EXPECT_EQ(result(60, {0.1F, 0.3F, 0.01F}).verdict(), Verdict::nearly_exact);
  EXPECT_EQ(result(60, {0.1F, 0.3F, 0.01F}).largest_margin(), 0.3F);
}

TEST(Identity, FailsWithManyDifferencesOrOneClearOne) {
  EXPECT_EQ(result(60, {0.1F, 0.1F, 0.1F, 0.1F}).verdict(), Verdict::different);
  EXPECT_EQ(result(60, {0.31F}).verdict(), Verdict::different);
}

TEST(Identity, AsksForCloseRacesOnlyWhereNothingIsPromised) {
  IdentityResult many = result(60, std::vector<float>(30, 0.1F));
  EXPECT_EQ(many.verdict(), Verdict::different);
  many.is_promised = false;
  EXPECT_EQ(many.verdict(), Verdict::not_promised);
  SelftestReport report;
  report.identity = many;
  EXPECT_EQ(summary_text(report),
            "selftest passed: a seed's text depends on the method on this machine, as info says "
            "(30 of 60 texts differ, largest margin 0.1)\n");
  many.methods[0].differences[7].margin = 0.5F;
  EXPECT_EQ(many.verdict(), Verdict::different) << "a wrong sampler";
  IdentityResult few = result(60, {0.1F});
  few.is_promised = false;
  EXPECT_EQ(few.verdict(), Verdict::nearly_exact);
}

TEST(SelftestReport, PassesOnlyIfEveryPartDoes) {
  SelftestReport report;
  report.identity = result(60, {0.1F});
  report.distribution = {{"d", true, "", 0.5}};
  report.sabotage = {{"s", true, "", 0.0}};
  EXPECT_TRUE(report.passed());
  EXPECT_EQ(summary_text(report),
            "selftest passed: nearly exact on this machine (1 of 60 texts differ, largest margin "
            "0.1)\n");
  report.sabotage[0].passed = false;
  EXPECT_FALSE(report.passed());
  EXPECT_EQ(summary_text(report), "selftest FAILED: 1 of 1 sabotage not caught\n");
  report.sabotage[0].passed = true;
  report.distribution[0].passed = false;
  EXPECT_FALSE(report.passed());
  report.distribution[0].passed = true;
  report.identity = result(60, {0.5F});
  EXPECT_FALSE(report.passed());
}

}  // namespace
}  // namespace gumbelspec::apps::cli
