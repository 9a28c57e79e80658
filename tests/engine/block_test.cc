// Block verification: what it accepts, against token by token; that its samples must belong to the
// round. Its distribution in more cases: distribution_test.cc.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "gumbelspec/session.h"
#include "src/engine/rejection.h"
#include "testing/reference.h"
#include "testing/statistics.h"
#include "testing/table_model.h"

namespace gumbelspec {
namespace {

using testing::TableModel;

constexpr std::size_t kJointTokens = 3;
const std::vector<TokenId> kPrompt = {TokenId{1}, TokenId{3}};

struct Models {
  TableModel target{{.n_vocab = 4, .seed = 11, .spread = 2.0F}};
  TableModel draft = TableModel::draft_of(target, 0.4F, 977);
};

double p_value(Models& models, const TextOptions& options, std::size_t n_samples) {
  Session session(models.target, &models.draft, options);
  const std::size_t n = models.target.limits().n_vocab;
  std::vector<std::uint64_t> counts(n * n * n);
  for (std::size_t i = 0; i < n_samples; ++i) {
    Outcome outcome = session.start(kPrompt, 1 + i);
    while (outcome == Outcome::running) outcome = session.step();
    std::size_t at = 0;
    for (std::size_t j = 0; j < kJointTokens; ++j) {
      at = at * n + index(session.generated()[j].token);
    }
    ++counts[at];
  }
  return testing::g_test(counts,
                         testing::joint_probabilities(models.target, {}, kPrompt, kJointTokens))
      .p_value;
}

// The drafter of the token-wise methods draws the same token for a position in every round, which
// is right for them: they never look behind a rejected token. A block does.
TEST(Block, NeedsSamplesOfItsOwnInEveryRound) {
  Models models;
  TextOptions options{.method = parse_method("block:length=3"), .max_tokens = 5};
  EXPECT_GT(p_value(models, options, 60000), 1e-5);
  const Method token_wise = parse_method("rejection:length=3");
  const auto round = make_drafted_round(models.draft.limits(), {}, token_wise);
  options.drafter = make_rejection_drafter(models.draft.limits(), {}, token_wise, round);
  options.verifier = make_block_verifier(round);
  EXPECT_LT(p_value(models, options, 60000), 1e-9);
}

double accepted_per_round(const char* method, float temperature) {
  TableModel target({.n_vocab = 12, .spread = 2.0F, .n_context = 4000});
  TableModel draft = TableModel::draft_of(target, 0.6F, 5);
  Session session(target, &draft,
                  {.sampling = {.temperature = temperature},
                   .method = parse_method(method),
                   .max_tokens = 3900});
  std::size_t n_accepted = 0;
  std::size_t n_rounds = 0;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Outcome outcome = session.start(kPrompt, seed);
    while (outcome == Outcome::running) outcome = session.step();
    n_accepted += session.statistics().n_accepted;
    n_rounds += session.statistics().n_rounds;
  }
  return static_cast<double>(n_accepted) / static_cast<double>(n_rounds);
}

TEST(Block, AcceptsMoreThanTokenByToken) {
  const double block = accepted_per_round("block:length=6", 1.0F);
  const double token_wise = accepted_per_round("rejection:length=6", 1.0F);
  EXPECT_GT(block, 1.02 * token_wise);
  RecordProperty("block", std::to_string(block));
  RecordProperty("token_wise", std::to_string(token_wise));
  // One token is a block of one.
  EXPECT_NEAR(accepted_per_round("block:length=1", 1.0F),
              accepted_per_round("rejection:length=1", 1.0F), 0.02);
  // At temperature 0 both take what the target says.
  EXPECT_EQ(accepted_per_round("block:length=6", 0.0F),
            accepted_per_round("rejection:length=6", 0.0F));
}

}  // namespace
}  // namespace gumbelspec
