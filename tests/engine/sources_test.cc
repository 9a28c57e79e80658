// What drafts without a model: against naive ones of a few lines. That no text depends on them:
// seam_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gumbelspec/error.h"
#include "gumbelspec/session.h"
#include "gumbelspec/token_constraint.h"
#include "src/engine/allowed_source.h"
#include "src/engine/recycled_source.h"
#include "src/engine/suffix_source.h"
#include "testing/reference.h"
#include "testing/sabotage.h"
#include "testing/statistics.h"
#include "testing/table_model.h"
#include "testing/wrapped_model.h"

namespace gumbelspec {
namespace {

using namespace testing;

TEST(DraftSources, AreWrittenAsTheyAreRead) {
  for (const char* text : {"none", "suffix", "recycled", "grammar", "suffix+recycled",
                           "suffix+grammar", "suffix+recycled+grammar"}) {
    EXPECT_EQ(to_string(parse_draft_sources(text)), text);
    const std::string method = std::string("gumbel-tree:sources=") + text;
    EXPECT_EQ(to_string(parse_method(method)), method);
  }
  EXPECT_EQ(parse_draft_sources("recycled,suffix"), (DraftSources{true, true, false}));
  EXPECT_EQ(parse_method("gumbel-tree").sources, std::nullopt);
  for (const char* text : {"", "sufix", "suffix+", "suffix+none", "none,suffix", "Suffix"}) {
    EXPECT_THROW((void)parse_draft_sources(text), Error) << text;
  }
  EXPECT_THROW((void)parse_method("gumbel-beam:sources=suffix"), Error);
}

// How many tokens before `end` agree with the text's last ones.
std::size_t match(const std::vector<TokenId>& text, std::size_t end) {
  std::size_t n = 0;
  while (n < end && text[end - 1 - n] == text[text.size() - 1 - n]) ++n;
  return n;
}

// Passages of a text that come again: wherever the longest match is long enough and stands alone,
// what followed it is the first guess.
TEST(SuffixSource, GuessesWhatFollowedTheLongestMatch) {
  std::mt19937 random(5);
  SuffixSource source;
  std::size_t n_seen = 0;
  for (int trial = 0; trial < 20; ++trial) {
    source.begin_text();
    std::vector<TokenId> whole;
    while (whole.size() < 400) {
      whole.push_back(token_id(random() % 50));
      if (whole.size() < 60 || random() % 12 != 0) continue;
      const std::size_t from = random() % (whole.size() - 20);
      for (std::size_t k = 0; k < 12; ++k) whole.push_back(whole[from + k]);
    }
    std::vector<TokenId> text;
    for (const TokenId token : whole) {
      text.push_back(token);
      source.read(text);
      std::size_t longest = 0;
      std::size_t second = 0;
      std::vector<TokenId> followers;
      for (std::size_t end = 1; end < text.size(); ++end) {
        const std::size_t n = std::min<std::size_t>(match(text, end), 32);
        if (n > longest) {
          followers.clear();
          second = longest;
        } else if (n < longest) {
          second = std::max(second, n);
        }
        longest = std::max(longest, n);
        if (n == longest && n > 0) followers.push_back(text[end]);
      }
      std::vector<Guess> guesses(SuffixSource::kMost);
      const std::size_t n = source.look(TextView{text, {}}, guesses);
      EXPECT_EQ(n > 0, longest > 0);
      if (longest < 6 || followers.size() > 1 || 3 * second > longest) continue;
      ++n_seen;
      EXPECT_EQ(guesses[0].token, followers[0]) << "a match of " << longest;
      EXPECT_GT(guesses[0].chance, 0.3F);
    }
  }
  EXPECT_GT(n_seen, 500U);
}

TEST(SuffixSource, LooksBehindDraftedTokensToo) {
  SuffixSource source;
  std::vector<TokenId> text;
  for (const int t : {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}) text.push_back(TokenId{t});
  source.read(text);
  std::vector<Guess> guesses(SuffixSource::kMost);
  std::vector<TokenId> path;
  for (const int next : {4, 5, 6, 7, 8, 9}) {
    ASSERT_GT(source.look(TextView{text, path}, guesses), 0U);
    EXPECT_EQ(guesses[0].token, TokenId{next});
    path.push_back(guesses[0].token);
  }
}

TEST(SuffixSource, ForgetsATextWhenAnotherBegins) {
  SuffixSource source;
  std::vector<TokenId> text;
  for (int i = 0; i < 40; ++i) text.push_back(token_id(static_cast<std::size_t>(i % 5)));
  source.read(text);
  source.begin_text();
  source.read(std::vector<TokenId>{TokenId{0}, TokenId{1}});
  std::vector<Guess> guesses(SuffixSource::kMost);
  EXPECT_EQ(source.look(TextView{text, {}}, guesses), 0U);
}

TEST(SuffixSource, LearnsHowOftenAKindComesTrue) {
  SuffixSource source;
  std::vector<TokenId> text;
  for (int i = 0; i < 40; ++i) text.push_back(token_id(static_cast<std::size_t>(i % 5)));
  source.read(text);
  std::vector<Guess> guesses(SuffixSource::kMost);
  ASSERT_GT(source.look(TextView{text, {}}, guesses), 0U);
  const float before = guesses[0].chance;
  for (int i = 0; i < 300; ++i) source.learn(guesses[0], i % 4 == 0);
  ASSERT_GT(source.look(TextView{text, {}}, guesses), 0U);
  EXPECT_LT(guesses[0].chance, before);
  EXPECT_NEAR(guesses[0].chance, 0.25F, 0.08F);
}

// What a row says at a temperature, by the softmax in double.
TEST(RecycledSource, KeepsTheBestOfARowAtTheTemperature) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal(0.0F, 2.0F);
  std::vector<float> row(1000);
  for (float& logit : row) logit = normal(random);
  const std::vector<TokenId> text = {TokenId{4}, TokenId{9}};
  for (const float temperature : {1.0F, 0.7F, 1.5F}) {
    RecycledSource source({.temperature = temperature});
    source.keep(TokenId{4}, TokenId{9}, row);
    // So often as said, so that rates are what was said.
    std::vector<Guess> guesses(RecycledSource::kMost);
    ASSERT_EQ(source.look(TextView{text, {}}, guesses), RecycledSource::kMost);
    std::vector<std::size_t> order(row.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](auto a, auto b) { return row[a] > row[b]; });
    float sum = 0.0F;
    for (std::size_t k = 0; k < guesses.size(); ++k) {
      EXPECT_EQ(guesses[k].token, token_id(order[k]));
      if (k > 0) EXPECT_LE(guesses[k].chance, guesses[k - 1].chance + 1e-6F);
      sum += guesses[k].chance;
    }
    EXPECT_LE(sum, 0.991F);
  }
}

TEST(RecycledSource, PrefersThePairToTheToken) {
  RecycledSource source({});
  std::vector<float> a(20);
  std::vector<float> b(20);
  a[3] = b[7] = 9.0F;
  source.keep(TokenId{1}, TokenId{2}, a);
  source.keep(TokenId{5}, TokenId{2}, b);
  std::vector<Guess> guesses(RecycledSource::kMost);
  const auto first = [&](std::vector<TokenId> text) {
    return source.look(TextView{text, {}}, guesses) > 0 ? guesses[0].token : TokenId{-1};
  };
  EXPECT_EQ(first({TokenId{1}, TokenId{2}}), TokenId{3});
  EXPECT_EQ(first({TokenId{5}, TokenId{2}}), TokenId{7});
  EXPECT_EQ(first({TokenId{6}, TokenId{2}}), TokenId{7}) << "the latest row of the token";
  EXPECT_EQ(first({TokenId{2}}), TokenId{7});
  EXPECT_EQ(first({TokenId{2}, TokenId{8}}), TokenId{-1});
  source.begin_text();
  EXPECT_EQ(first({TokenId{1}, TokenId{2}}), TokenId{-1});
}

Statistics statistics_of(const char* method, const SamplingOptions& sampling,
                         std::shared_ptr<TokenConstraint> constraint = {}) {
  TableModel target({.n_vocab = 30, .seed = 8, .n_context = 700});
  const auto costs =
      std::make_shared<CostModel>(CostModel{PassCost({{1, 1.0}, {66, 1.6}}, false), PassCost()});
  Session session(target, nullptr,
                  {.sampling = sampling,
                   .method = parse_method(method),
                   .seed = 2,
                   .max_tokens = 600,
                   .constraint = std::move(constraint)},
                  {.costs = costs});
  Outcome outcome = session.start(std::vector<TokenId>{TokenId{1}, TokenId{2}});
  while (outcome == Outcome::running) outcome = session.step();
  return session.statistics();
}

// At temperature 0 a model of two tokens' memory ends in a cycle.
TEST(Sources, DraftWithoutAModelWhereTextRepeats) {
  for (const char* method :
       {"gumbel-tree", "gumbel-tree:sources=suffix", "gumbel-tree:sources=recycled"}) {
    const Statistics s = statistics_of(method, {.temperature = 0.0F});
    EXPECT_GT(s.tokens_per_pass(), 2.5) << method;
    EXPECT_EQ(s.n_draft_passes, 0U);
    ASSERT_FALSE(s.by_source.empty());
    std::size_t n_drafted = 0;
    std::size_t n_accepted = 0;
    for (const SourceCount& count : s.by_source) {
      n_drafted += count.n_drafted;
      n_accepted += count.n_accepted;
    }
    EXPECT_EQ(n_drafted, s.n_drafted);
    EXPECT_EQ(n_accepted, s.n_accepted);
  }
}

// The same row comes again with other noise: what is chosen is then another token, which is known.
TEST(Sources, RecycledRowsAnticipateTheChoiceUnderNewNoise) {
  const Statistics suffix = statistics_of("gumbel-tree:nodes=4,sources=suffix", {});
  const Statistics recycled = statistics_of("gumbel-tree:nodes=4,sources=recycled", {});
  EXPECT_GT(recycled.tokens_per_pass(), suffix.tokens_per_pass() + 0.2);
}

// Every third token is free, the others are given.
class Given final : public TokenConstraint {
 public:
  std::span<const std::uint32_t> allowed(std::span<const TokenId> generated,
                                         std::span<const TokenId> path) override {
    const std::size_t at = generated.size() + path.size();
    mask_ = at % 3 == 0 ? 0x3fffffffU : 1U << (at % 7);
    return {&mask_, 1};
  }

 private:
  std::uint32_t mask_ = 0;
};

TEST(Sources, AGrammarsOnlyChoiceIsDrafted) {
  const Statistics s = statistics_of("gumbel-tree:sources=grammar", {}, std::make_shared<Given>());
  // Two given tokens and the free one behind them in each pass.
  EXPECT_GE(s.tokens_per_pass(), 2.9);
  EXPECT_EQ(s.n_accepted, s.n_drafted);
  ASSERT_EQ(s.by_source.size(), 1U);
  EXPECT_EQ(s.by_source[0].name, "grammar");
}

// Every fourth token is free, of the others there are three: the wanted text's beginnings. The
// target has a habit: of the three, the one with this remainder by three.
class Few final : public TokenConstraint {
 public:
  std::span<const std::uint32_t> allowed(std::span<const TokenId> generated,
                                         std::span<const TokenId> path) override {
    const std::size_t at = generated.size() + path.size();
    const std::size_t first = 3 * (at * 7 % 9);
    mask_ = at % 4 == 0 ? 0x3fffffffU : 7U << first;
    return {&mask_, 1};
  }

 private:
  std::uint32_t mask_ = 0;
};

class Habitual final : public WrappedModel {
 public:
  using WrappedModel::WrappedModel;
  [[nodiscard]] std::span<const float> row(std::size_t i) const override {
    const std::span<const float> row = model_.row(i);
    row_.assign(row.begin(), row.end());
    for (std::size_t t = 1; t < row_.size(); t += 3) row_[t] += 4.0F;
    return row_;
  }

 private:
  mutable std::vector<float> row_;
};

TEST(Sources, WhatAGrammarLeavesIsGuessedByTheTargetsHabits) {
  TableModel table({.n_vocab = 30, .seed = 12, .n_context = 400});
  Habitual target(table);
  const auto run = [&](const char* method, float temperature) {
    TextOptions options{.method = parse_method(method), .max_tokens = 200};
    options.sampling.temperature = temperature;
    options.constraint = std::make_shared<Few>();
    const auto costs =
        std::make_shared<CostModel>(CostModel{PassCost({{1, 1.0}, {66, 1.6}}, false), PassCost()});
    Session session(target, nullptr, options, {.costs = costs});
    Outcome outcome = session.start(std::vector<TokenId>{TokenId{1}, TokenId{2}});
    while (outcome == Outcome::running) outcome = session.step();
    return std::pair(std::vector<TokenId>(session.text().begin(), session.text().end()),
                     session.statistics().tokens_per_pass());
  };
  for (const float temperature : {0.0F, 1.0F}) {
    const auto plain = run("ar", temperature);
    const auto drafted = run("gumbel-tree:sources=grammar", temperature);
    EXPECT_EQ(drafted.first, plain.first);
    EXPECT_GT(drafted.second, 2.0) << temperature;
  }
}

TEST(AllowedSource, LearnsWhichOfAFewIsTaken) {
  AllowedSource source;
  std::array<Guess, AllowedSource::kMost> guesses;
  const std::array<std::uint32_t, 2> allowed = {1U << 3U | 1U << 30U, 1U << 2U};
  ASSERT_EQ(source.look(allowed, guesses), 3U);
  for (const Guess& g : std::span(guesses).first(3)) EXPECT_NEAR(g.chance, 0.33, 0.01);
  for (int i = 0; i < 40; ++i) {
    const std::size_t n = source.look(allowed, guesses);
    source.learn(std::span(guesses).first(n), token_id(30));
  }
  ASSERT_EQ(source.look(allowed, guesses), 3U);
  EXPECT_EQ(guesses[0].token, token_id(30));
  EXPECT_GT(guesses[0].chance, 0.8F);
  // Others that stand so among three are thought to be alike.
  const std::array<std::uint32_t, 1> others = {7U};
  ASSERT_EQ(source.look(others, guesses), 3U);
  EXPECT_EQ(guesses[0].token, token_id(1));
  const std::array<std::uint32_t, 1> many = {0x1ffffU};
  EXPECT_EQ(source.look(many, guesses), 0U);
  EXPECT_EQ(source.look({}, guesses), 0U);
}

// Three tokens behind a prompt that repeats itself, against the enumerated distribution.
double joint_p_value(const char* method, Sabotage sabotage) {
  constexpr std::size_t kTexts = 60000;
  const TableModel model({.n_vocab = 5, .seed = 20240607, .spread = 1.5F});
  TableModel target = model;
  const TableModel draft = TableModel::draft_of(target, 0.6F, 977);
  std::vector<TokenId> prompt;
  for (const int t : {1, 3, 0, 2, 1, 3, 0, 4, 1, 3}) prompt.push_back(TokenId{t});
  TextOptions options{.method = parse_method(method), .max_tokens = 4};
  SessionParts parts;
  put_in(sabotage, draft, options, parts);
  Session session(target, nullptr, options, parts);
  std::vector<std::uint64_t> counts(125);
  for (std::size_t i = 0; i < kTexts; ++i) {
    Outcome outcome = session.start(prompt, 1 + i);
    while (outcome == Outcome::running) outcome = session.step();
    if (outcome != Outcome::length) return 0.0;
    std::size_t at = 0;
    for (std::size_t k = 0; k < 3; ++k) at = at * 5 + index(session.generated()[k].token);
    ++counts[at];
  }
  return g_test(counts, joint_probabilities(target, {}, prompt, 3)).p_value;
}

TEST(Sources, KeepTheDistribution) {
  for (const char* method :
       {"gumbel-tree:nodes=8,sources=suffix", "gumbel-tree:nodes=8,sources=suffix+recycled"}) {
    EXPECT_GE(joint_p_value(method, Sabotage::none), 1e-5) << method;
  }
}

TEST(Sources, AreSeenToLoseTheDistributionUnderASabotage) {
  EXPECT_LT(joint_p_value("gumbel-tree:nodes=8,sources=suffix", Sabotage::fresh_noise_per_path),
            1e-9);
}

TEST(Sources, NoneWithoutAModelIsRefused) {
  TableModel target({});
  for (const char* method : {"gumbel-tree:sources=none", "gumbel-chain", "rejection"}) {
    EXPECT_THROW(Session(target, nullptr, {.method = parse_method(method)}), Error) << method;
  }
}

}  // namespace
}  // namespace gumbelspec
