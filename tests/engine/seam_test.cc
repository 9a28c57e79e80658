// One round for sessions and batches, and anything that may draft: against plain decoding that has
// nothing of the engine in it.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gumbelspec/batch.h"
#include "gumbelspec/session.h"
#include "src/engine/rejection.h"
#include "testing/drafters.h"
#include "testing/plain_decoder.h"
#include "testing/reference.h"
#include "testing/reference_rejection.h"
#include "testing/sabotage.h"
#include "testing/statistics.h"
#include "testing/table_model.h"
#include "tests/engine/batch_fixture.h"

namespace gumbelspec {
namespace {

using namespace testing;

constexpr std::size_t kVocab = 12;
constexpr std::size_t kTokens = 60;
const std::vector<TokenId> kPrompt = {TokenId{1}, TokenId{3}};

struct World {
  TableModel target{{.n_vocab = kVocab, .n_context = 400}};
  TableModel draft = TableModel::draft_of(target, 0.7F, 5);
  std::shared_ptr<CostModel> costs = std::make_shared<CostModel>(
      CostModel{PassCost({{1, 1.0}, {66, 1.6}}, false), PassCost({{1, 0.05}, {64, 0.2}}, false)});
};

std::vector<TokenId> by_session(World& world, const TextOptions& options, LanguageModel* draft) {
  Session session(world.target, draft, options, {.costs = world.costs});
  Outcome outcome = session.start(kPrompt);
  while (outcome == Outcome::running) outcome = session.step();
  std::vector<TokenId> tokens;
  for (const GeneratedToken& t : session.generated()) tokens.push_back(t.token);
  return tokens;
}

// Beside other texts, of other methods.
std::vector<TokenId> by_batch(World& world, const TextOptions& options, LanguageModel* draft) {
  Batch batch(world.target, draft, {.costs = world.costs});
  std::vector<Added> others;
  for (const char* method : {"ar", "gumbel-tree", "rejection", "gumbel-beam:width=3,length=4"}) {
    const TextOptions other{.method = parse_method(method), .seed = 99, .max_tokens = 30};
    others.push_back(add(batch, {{TokenId{2}, TokenId{5}}, other}));
  }
  const Added ours = add(batch, {kPrompt, options});
  while (batch.step()) {
  }
  for (const Added& other : others) EXPECT_EQ(other.seen->outcome, Outcome::length);
  EXPECT_EQ(ours.seen->outcome, Outcome::length);
  return ours.seen->tokens;
}

SamplingOptions with_everything() {
  SamplingOptions sampling{.temperature = 0.8F, .top_k = 9, .top_p = 0.95F, .min_p = 0.02F};
  sampling.repeat_penalty = 1.2F;
  sampling.presence_penalty = 0.2F;
  return sampling;
}

TEST(Round, SaysWhatPlainDecodingSays) {
  World world;
  for (const SamplingOptions& sampling :
       {SamplingOptions{}, SamplingOptions{.temperature = 0.0F}, with_everything()}) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      const auto expected = decode_plainly(world.target, kPrompt, sampling, {seed, 2}, kTokens);
      for (const char* method :
           {"ar", "greedy-chain", "gumbel-chain", "gumbel-beam",
            "gumbel-beam:width=6,length=4,nodes=5,keep=0", "gumbel-tree:nodes=12", "gumbel-tree"}) {
        const TextOptions options{.sampling = sampling,
                                  .method = parse_method(method),
                                  .seed = seed,
                                  .stream = 2,
                                  .max_tokens = kTokens};
        EXPECT_EQ(by_session(world, options, &world.draft), expected) << method;
        EXPECT_EQ(by_batch(world, options, &world.draft), expected) << method;
      }
    }
  }
}

// The oracle sees a text that is wrong in its noise only.
TEST(Round, IsSeenToSayOtherwiseUnderASabotage) {
  World world;
  const auto expected = decode_plainly(world.target, kPrompt, {}, {1, 0}, kTokens);
  TextOptions options{.method = parse_method("gumbel-tree"), .seed = 1, .max_tokens = kTokens};
  SessionParts parts;
  put_in(Sabotage::fresh_noise_per_path, world.draft, options, parts);
  EXPECT_NE(by_session(world, options, &world.draft), expected);
  EXPECT_NE(by_batch(world, options, &world.draft), expected);
}

using MakeDrafter = std::function<std::shared_ptr<Drafter>(const World&, const SamplingOptions&)>;

struct NamedDrafter {
  const char* name;
  MakeDrafter make;
};

std::vector<NamedDrafter> drafters() {
  return {
      {"oracle",
       [](const World& world, const SamplingOptions& sampling) {
         return std::make_shared<OracleDrafter>(world.target, sampling, 5);
       }},
      {"random", [](const World&,
                    const SamplingOptions&) { return std::make_shared<RandomDrafter>(kVocab, 7); }},
      {"two sources",
       [](const World&, const SamplingOptions&) { return std::make_shared<TwoSourceDrafter>(); }},
      {"last rows",
       [](const World&, const SamplingOptions& sampling) {
         return std::make_shared<LastRowsDrafter>(sampling, kVocab);
       }},
      {"suffix",
       [](const World&, const SamplingOptions& sampling) {
         return make_source_drafter({.suffix = true}, sampling, kVocab);
       }},
      {"recycled",
       [](const World&, const SamplingOptions& sampling) {
         return make_source_drafter({.recycled = true}, sampling, kVocab);
       }},
      {"all sources", [](const World&, const SamplingOptions& sampling) {
         return make_source_drafter(DraftSources::all(), sampling, kVocab);
       }}};
}

// Nobody has drawn candidates, so all tokens are drawn from the target's distribution.
std::shared_ptr<Verifier> rejection_verifier(const World& world) {
  return make_rejection_verifier(
      make_drafted_round(world.target.limits(), {}, parse_method("rejection")));
}

TEST(Drafters, AnythingMayDraftAndTheTextIsTheSame) {
  World world;
  for (const SamplingOptions& sampling :
       {SamplingOptions{}, SamplingOptions{.temperature = 0.0F}, with_everything()}) {
    const auto expected = decode_plainly(world.target, kPrompt, sampling, {3, 0}, kTokens);
    const TextOptions plain{.sampling = sampling,
                            .method = parse_method("ar"),
                            .seed = 3,
                            .max_tokens = kTokens,
                            .verifier = rejection_verifier(world)};
    const auto drawn = by_session(world, plain, nullptr);
    for (const NamedDrafter& drafter : drafters()) {
      for (const char* method : {"gumbel-tree", "gumbel-tree:nodes=6,length=3"}) {
        // With a draft model whose reading nobody uses, and without.
        for (LanguageModel* draft :
             {static_cast<LanguageModel*>(nullptr), static_cast<LanguageModel*>(&world.draft)}) {
          TextOptions options{.sampling = sampling,
                              .method = parse_method(method),
                              .seed = 3,
                              .max_tokens = kTokens};
          options.drafter = drafter.make(world, sampling);
          EXPECT_EQ(by_session(world, options, draft), expected) << drafter.name;
          EXPECT_EQ(by_batch(world, options, draft), expected) << drafter.name;
          options.verifier = rejection_verifier(world);
          EXPECT_EQ(by_session(world, options, draft), drawn) << drafter.name;
          EXPECT_EQ(by_batch(world, options, draft), drawn) << drafter.name;
        }
      }
    }
  }
}

// By the method: without a draft model, and in one tree with it.
TEST(Sources, DraftAndTheTextIsTheSame) {
  World world;
  for (const SamplingOptions& sampling :
       {SamplingOptions{}, SamplingOptions{.temperature = 0.0F}, with_everything()}) {
    const auto expected = decode_plainly(world.target, kPrompt, sampling, {3, 0}, kTokens);
    for (const char* method : {"gumbel-tree", "gumbel-tree:nodes=12", "gumbel-tree:sources=suffix",
                               "gumbel-tree:sources=recycled,nodes=20,length=5",
                               "gumbel-tree:sources=suffix+recycled"}) {
      for (LanguageModel* draft :
           {static_cast<LanguageModel*>(nullptr), static_cast<LanguageModel*>(&world.draft)}) {
        const TextOptions options{
            .sampling = sampling, .method = parse_method(method), .seed = 3, .max_tokens = kTokens};
        EXPECT_EQ(by_session(world, options, draft), expected) << method;
        EXPECT_EQ(by_batch(world, options, draft), expected) << method;
      }
    }
  }
}

TEST(Sources, AreSeenToSayOtherwiseUnderASabotage) {
  World world;
  const auto expected = decode_plainly(world.target, kPrompt, {}, {1, 0}, kTokens);
  TextOptions options{.method = parse_method("gumbel-tree:nodes=12,sources=suffix+recycled"),
                      .seed = 1,
                      .max_tokens = kTokens};
  SessionParts parts;
  put_in(Sabotage::fresh_noise_per_path, world.draft, options, parts);
  EXPECT_NE(by_session(world, options, nullptr), expected);
  EXPECT_NE(by_batch(world, options, nullptr), expected);
}

TEST(Drafters, AnOracleIsAcceptedWhole) {
  World world;
  TextOptions options{.method = parse_method("gumbel-tree:nodes=5"), .max_tokens = kTokens};
  options.drafter = std::make_shared<OracleDrafter>(world.target, SamplingOptions{}, 5);
  Session session(world.target, nullptr, options);
  Outcome outcome = session.start(kPrompt, 4);
  while (outcome == Outcome::running) outcome = session.step();
  EXPECT_EQ(session.statistics().n_target_passes, kTokens / 6);
  EXPECT_EQ(session.statistics().tokens_per_pass(), 6.0);
}

TEST(Drafters, RowsSeenBeforeAreAcceptedMoreOftenThanGuesses) {
  World world;
  const auto tokens_per_pass = [&](std::shared_ptr<Drafter> drafter) {
    TextOptions options{.method = parse_method("gumbel-tree:nodes=8"), .max_tokens = 300};
    options.drafter = std::move(drafter);
    Session session(world.target, nullptr, options);
    Outcome outcome = session.start(kPrompt, 4);
    while (outcome == Outcome::running) outcome = session.step();
    return session.statistics().tokens_per_pass();
  };
  const double guesses = tokens_per_pass(std::make_shared<RandomDrafter>(kVocab, 3));
  EXPECT_GT(tokens_per_pass(std::make_shared<LastRowsDrafter>(SamplingOptions{}, kVocab)),
            1.15 * guesses);
}

// Texts that draw candidates keep their distribution in company, where trees are cut to a pass.
double joint_p_value(const char* method, std::size_t max_pass_nodes,
                     std::optional<RejectionFault> fault = {}) {
  constexpr std::size_t kTexts = 40000;
  static const SamplingOptions plain;
  TableModel target({.n_vocab = 5, .seed = 20240607, .spread = 1.5F});
  target.mutable_limits().max_pass_nodes = max_pass_nodes;
  TableModel draft = TableModel::draft_of(target, 0.6F, 977);
  const auto costs = std::make_shared<CostModel>(
      CostModel{PassCost({{1, 1.0}, {66, 1.1}}, false), PassCost({{1, 0.05}}, false)});
  Batch batch(target, &draft, {.max_active = 4, .costs = costs});
  std::vector<std::uint64_t> counts(125);
  std::vector<Added> texts;
  for (std::size_t i = 0; i < kTexts; ++i) {
    TextOptions options{.method = parse_method(i % 2 == 0 ? method : "gumbel-tree"),
                        .guarantee = Guarantee::distribution,
                        .seed = 1 + i,
                        .max_tokens = 4};
    if (fault && i % 2 == 0) options.verifier = make_reference_rejection(draft, plain, *fault);
    texts.push_back(add(batch, {kPrompt, options}));
    if (texts.size() < 400) continue;
    while (batch.step()) {
    }
    for (const Added& text : texts) {
      if (text.seen->outcome != Outcome::length) return 0.0;  // a text that failed is no sample
      std::size_t at = 0;
      for (std::size_t j = 0; j < 3; ++j) at = at * 5 + index(text.seen->tokens[j]);
      ++counts[at];
    }
    texts.clear();
  }
  return g_test(counts, joint_probabilities(target, {}, kPrompt, 3)).p_value;
}

TEST(Batch, KeepsTheDistributionOfTextsThatReject) {
  for (const std::size_t max_pass_nodes : {256, 12}) {
    for (const char* method : {"rejection:length=3", "rejection-tree:width=3,length=3"}) {
      EXPECT_GE(joint_p_value(method, max_pass_nodes), 1e-5) << method;
    }
  }
}

TEST(Batch, IsSeenToLoseTheDistributionUnderASabotage) {
  EXPECT_LT(joint_p_value("rejection:length=3", 256, RejectionFault::resample_from_p), 1e-5);
}

}  // namespace
}  // namespace gumbelspec
