// What chains of each length bring, learnt from longer ones.
#include "src/engine/chain_acceptance.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "gumbelspec/session.h"
#include "src/engine/rejection.h"
#include "testing/table_model.h"

namespace gumbelspec {
namespace {

using testing::TableModel;

constexpr std::size_t kLongest = 8;

// Tokens per pass of chains of a length, less the one that a pass brings anyway.
double accepted_per_pass(TableModel& target, TableModel& draft, std::size_t length) {
  Session session(target, &draft,
                  {.method = parse_method("block:length=" + std::to_string(length)),
                   .seed = 5,
                   .max_tokens = 8000});
  Outcome outcome = session.start(std::vector<TokenId>{TokenId{1}});
  while (outcome == Outcome::running) outcome = session.step();
  const Statistics& s = session.statistics();
  return static_cast<double>(s.n_generated) / static_cast<double>(s.n_rounds) - 1.0;
}

TEST(ChainAcceptance, LearnsFromLongChainsWhatShorterOnesBring) {
  TableModel target({.n_vocab = 40, .seed = 3, .spread = 6.0F, .n_context = 9000});
  TableModel draft = TableModel::draft_of(target, 0.8F, 11);
  TextOptions options = {.method = parse_method("block:length=8"), .seed = 6, .max_tokens = 8000};
  const auto round = make_drafted_round(draft.limits(), options.sampling, options.method);
  options.drafter = make_rejection_drafter(draft.limits(), options.sampling, options.method, round);
  options.verifier = make_block_verifier(round);
  Session session(target, &draft, options);
  // It forgets, so what it has learnt is looked at again and again.
  std::vector<double> learnt(kLongest);
  std::size_t n_looks = 0;
  std::size_t n_rounds = 0;
  Outcome outcome = session.start(std::vector<TokenId>{TokenId{1}});
  while (outcome == Outcome::running) {
    outcome = session.step();
    if (++n_rounds % 25 != 0 || n_rounds < 200) continue;
    ++n_looks;
    double gain = 1.0;
    for (std::size_t i = 0; i < kLongest; ++i) {
      gain = round->chain.gain(i + 1, gain);
      learnt[i] += gain;
    }
  }
  ASSERT_GT(n_looks, 50U);
  double expected = 0.0;
  for (std::size_t n = 1; n <= kLongest; ++n) {
    expected += learnt[n - 1] / static_cast<double>(n_looks);
    const double seen = accepted_per_pass(target, draft, n);
    EXPECT_NEAR(expected, seen, 0.03 * (1.0 + seen)) << n;
  }
}

TEST(ChainAcceptance, GoesOnAsTheEndOfWhatWasSeen) {
  ChainAcceptance chain;
  // Each node adds four fifths of the one before.
  for (int i = 0; i < 200; ++i) chain.observe(std::vector<double>{0.9, 1.62, 2.196});
  double gain = 1.0;
  double wanted = 0.9;
  for (std::size_t i = 1; i <= 12; ++i, wanted *= 0.8) {
    gain = chain.gain(i, gain);
    EXPECT_NEAR(gain, wanted, 0.03) << i;
  }
}

TEST(ChainAcceptance, ForgetsAFewBadRoundsOfLongChains) {
  ChainAcceptance chain;
  for (int i = 0; i < 100; ++i) chain.observe(std::vector<double>{0.9, 1.7});
  const double before = chain.gain(3, chain.gain(2, chain.gain(1, 1.0)));
  for (int i = 0; i < 3; ++i) chain.observe(std::vector<double>{0.9, 1.7, 1.7, 1.7});
  EXPECT_LT(chain.gain(3, chain.gain(2, chain.gain(1, 1.0))), 0.8 * before);
  // It is not tried any more, and yet it is not written off.
  for (int i = 0; i < 200; ++i) chain.observe(std::vector<double>{0.9, 1.7});
  EXPECT_GT(chain.gain(3, chain.gain(2, chain.gain(1, 1.0))), 0.9 * before);
}

}  // namespace
}  // namespace gumbelspec
