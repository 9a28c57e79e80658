// Three tokens of a real hybrid model whose chains are rejected and rolled back all the time: their
// joint distribution against the one enumerated from llama.cpp's rows, each prefix read afresh.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "gumbelspec/session.h"
#include "testing/statistics.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

constexpr std::size_t kKept = 3;  // likeliest tokens that may come
constexpr std::size_t kLength = 3;
constexpr std::size_t kOutcomes = kKept * kKept * kKept;
constexpr std::size_t kTexts = 1000;

// Models of one seed and different depths agree now and then.
std::unique_ptr<LlamaModel> load(std::int64_t n_layer) {
  TinyModel tiny;
  tiny.architecture = "jamba";
  tiny.n_layer = n_layer;
  LlamaModelOptions options;
  options.n_threads = 1;
  return load_tiny(tiny, options);
}

struct Choice {
  TokenId token{};
  double probability = 0.0;
};

// The likeliest tokens behind a text and their shares, by nothing but a row of llama.cpp's.
std::array<Choice, kKept> choices(LlamaModel& model, std::span<const TokenId> text) {
  const SeqId seq = model.open();
  EXPECT_EQ(model.extend(seq, text.first(text.size() - 1)), PassOutcome::ok);
  const PassNode node{seq, kCommitted, text.back(), true};
  EXPECT_EQ(model.evaluate(std::span(&node, 1)), PassOutcome::ok);
  const auto row = model.row(0);
  std::vector<std::size_t> order(row.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::partial_sort(order.begin(), order.begin() + kKept, order.end(),
                    [&](std::size_t a, std::size_t b) { return row[a] > row[b]; });
  std::array<Choice, kKept> result;
  double sum = 0.0;
  for (std::size_t i = 0; i < kKept; ++i) {
    result[i] = {token_id(order[i]), std::exp(static_cast<double>(row[order[i]]))};
    sum += result[i].probability;
  }
  for (Choice& c : result) c.probability /= sum;
  model.close(seq);
  return result;
}

struct Enumerated {
  std::vector<std::vector<TokenId>> texts;  // [kOutcomes]
  std::vector<double> probabilities;        // [kOutcomes]
};

void enumerate(LlamaModel& model, const std::vector<TokenId>& text, std::size_t n_prompt,
               double probability, Enumerated& all) {
  if (text.size() == n_prompt + kLength) {
    all.texts.emplace_back(text.begin() + static_cast<std::ptrdiff_t>(n_prompt), text.end());
    all.probabilities.push_back(probability);
    return;
  }
  for (const Choice& c : choices(model, text)) {
    std::vector<TokenId> longer = text;
    longer.push_back(c.token);
    enumerate(model, longer, n_prompt, probability * c.probability, all);
  }
}

struct Drawn {
  std::vector<std::uint64_t> counts;  // [kOutcomes]
  std::size_t n_drafted = 0, n_accepted = 0;
};

Drawn draw(LlamaModel& target, LlamaModel& draft, const std::string& method,
           std::span<const TokenId> prompt, const Enumerated& all) {
  TextOptions options;
  options.method = parse_method(method);
  options.sampling.top_k = kKept;
  options.max_tokens = kLength;
  options.ignores_end = true;
  Session session(target, &draft, options);
  Drawn drawn{std::vector<std::uint64_t>(kOutcomes)};
  for (std::uint64_t seed = 0; seed < kTexts; ++seed) {
    Outcome outcome = session.start(prompt, seed);
    while (outcome == Outcome::running) outcome = session.step();
    std::vector<TokenId> text;
    for (const GeneratedToken& t : session.generated()) text.push_back(t.token);
    const auto found = std::find(all.texts.begin(), all.texts.end(), text);
    EXPECT_NE(found, all.texts.end()) << "a text that cannot come, seed " << seed;
    if (found == all.texts.end()) break;
    ++drawn.counts[static_cast<std::size_t>(found - all.texts.begin())];
    drawn.n_drafted += session.statistics().n_drafted;
    drawn.n_accepted += session.statistics().n_accepted;
  }
  return drawn;
}

class HybridDistribution : public ::testing::TestWithParam<const char*> {};

TEST_P(HybridDistribution, IsThatOfTheRows) {
  const auto target = load(3), draft = load(2);
  const std::vector<TokenId> prompt = {token_id(1), token_id(300), token_id(271), token_id(288)};
  Enumerated all;
  enumerate(*target, prompt, prompt.size(), 1.0, all);
  ASSERT_EQ(all.texts.size(), kOutcomes);
  const Drawn drawn = draw(*target, *draft, GetParam(), prompt, all);
  const TestResult result = g_test(drawn.counts, all.probabilities);
  EXPECT_GT(result.p_value, 1e-5) << result.statistic;
  EXPECT_GT(drawn.n_accepted, 0U);
  EXPECT_LT(drawn.n_accepted, drawn.n_drafted);

  // The same counts are not those of a target whose first state was another.
  const std::vector<TokenId> other = {token_id(1), token_id(270), token_id(299), token_id(288)};
  Enumerated wrong;
  enumerate(*target, other, other.size(), 1.0, wrong);
  EXPECT_LT(g_test(drawn.counts, wrong.probabilities).p_value, 1e-9);
}

INSTANTIATE_TEST_SUITE_P(Methods, HybridDistribution,
                         ::testing::Values("gumbel-chain:length=3", "rejection:length=3",
                                           "block:length=3"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });

}  // namespace
}  // namespace gumbelspec::testing
