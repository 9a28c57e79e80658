// The rejection methods beside plain ones: what they accept, against what is enumerated, and their
// decisions, against the oracle in double. Their distribution: distribution_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "gumbelspec/session.h"
#include "testing/reference.h"
#include "testing/reference_rejection.h"
#include "testing/table_model.h"

namespace gumbelspec {
namespace {

using testing::make_reference_rejection;
using testing::reference_probabilities;
using testing::RejectionFault;
using testing::TableModel;

const std::vector<TokenId> kPrompt = {TokenId{1}, TokenId{3}};

const char* const kMethods[] = {"rejection:length=1",
                                "rejection",
                                "rejection-tree",
                                "rejection-tree:width=2,length=3,nodes=9",
                                "rejection-tree:width=8,length=8,nodes=40",
                                "rejection-tree:width=1,length=30,nodes=12"};

struct Pair {
  TableModel target;
  TableModel draft;

  explicit Pair(TableModel::Options options = {.n_vocab = 12, .n_context = 400}, float share = 0.7F)
      : target(options), draft(TableModel::draft_of(target, share, 5)) {}
};

std::vector<TokenId> run(Session& session, std::uint64_t seed = 1) {
  Outcome outcome = session.start(kPrompt, seed);
  while (outcome == Outcome::running) outcome = session.step();
  std::vector<TokenId> tokens;
  for (const GeneratedToken& t : session.generated()) tokens.push_back(t.token);
  return tokens;
}

std::vector<TokenId> run(Pair& pair, const char* method, const SamplingOptions& sampling = {},
                         std::uint64_t seed = 1, std::size_t n = 100) {
  Session session(pair.target, &pair.draft,
                  {.sampling = sampling, .method = parse_method(method), .max_tokens = n});
  return run(session, seed);
}

TEST(Rejection, DecidesAsTheOracleInDouble) {
  SamplingOptions penalties{.temperature = 0.8F, .top_p = 0.9F};
  penalties.repeat_penalty = 1.2F;
  const SamplingOptions samplings[] = {{}, {.temperature = 0.5F, .top_k = 4}, penalties};
  for (const SamplingOptions& sampling : samplings) {
    for (const char* text : kMethods) {
      const Method method = parse_method(text);
      Pair pair;
      TextOptions options = {.sampling = sampling, .method = method, .max_tokens = 40};
      Session ours(pair.target, &pair.draft, options);
      options.verifier = make_reference_rejection(pair.draft, sampling, RejectionFault::none);
      Session theirs(pair.target, &pair.draft, options);
      for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        Outcome of_ours = ours.start(kPrompt, seed);
        Outcome of_theirs = theirs.start(kPrompt, seed);
        while (of_ours == Outcome::running) {
          of_ours = ours.step();
          of_theirs = theirs.step();
          ASSERT_EQ(of_ours, of_theirs);
          ASSERT_EQ(ours.last_walk().path, theirs.last_walk().path) << text << ", seed " << seed;
          ASSERT_TRUE(std::equal(ours.text().begin(), ours.text().end(), theirs.text().begin(),
                                 theirs.text().end()))
              << text << ", seed " << seed;
          // The oracle teaches a tree's shape nothing, so it is the same in the first round only.
          if (method.kind == MethodKind::rejection_tree) break;
        }
      }
    }
  }
}

// The share of rounds whose first level was accepted, by the rank of the accepted candidate; the
// last element: none was.
std::vector<double> accepted_by_rank(const char* method, const SamplingOptions& sampling,
                                     std::size_t n_ranks, std::size_t n_texts) {
  Pair pair({.n_vocab = 6, .n_context = 64});
  Session session(pair.target, &pair.draft,
                  {.sampling = sampling, .method = parse_method(method), .max_tokens = 8});
  std::vector<double> share(n_ranks + 1);
  for (std::uint64_t seed = 1; seed <= n_texts; ++seed) {
    EXPECT_EQ(session.start(kPrompt, seed), Outcome::running);
    static_cast<void>(session.step());
    const std::vector<NodeId>& path = session.last_walk().path;
    // The root's candidates are the first nodes.
    const std::size_t rank = path.size() > 1 ? index(path[1]) - 1 : n_ranks;
    EXPECT_LE(rank, n_ranks);
    share[std::min(rank, n_ranks)] += 1.0 / static_cast<double>(n_texts);
  }
  return share;
}

double overlap(const std::vector<double>& p, const std::vector<double>& q) {
  double sum = 0.0;
  for (std::size_t v = 0; v < p.size(); ++v) sum += std::min(p[v], q[v]);
  return sum;
}

// Chances that candidate 1, 2, ... is accepted, all draws enumerated.
void enumerate(std::vector<double> p, std::vector<double> q, double chance, std::size_t rank,
               std::vector<double>& share) {
  if (rank + 1 == share.size()) {
    share[rank] += chance;
    return;
  }
  share[rank] += chance * overlap(p, q);
  std::vector<double> rest(p.size());
  double total = 0.0;
  for (std::size_t v = 0; v < p.size(); ++v) total += rest[v] = std::max(p[v] - q[v], 0.0);
  for (double& x : rest) x /= total;
  for (std::size_t x = 0; x < q.size(); ++x) {
    if (q[x] <= p[x]) continue;
    std::vector<double> without = q;
    without[x] = 0.0;
    for (double& value : without) value /= 1.0 - q[x];
    enumerate(rest, without, chance * (q[x] - p[x]), rank + 1, share);
  }
}

// Leviathan et al., theorem 3.5: acceptance is 1 - TV(p, q) = sum of min(p, q). 100000 rounds have
// a standard deviation below 0.0016; five of them.
TEST(Rejection, AcceptsTheOverlapOfTheDistributions) {
  for (const float temperature : {1.0F, 0.6F}) {
    const SamplingOptions sampling{.temperature = temperature};
    Pair pair({.n_vocab = 6, .n_context = 64});
    const auto p = reference_probabilities(pair.target.logits(kPrompt), sampling, kPrompt);
    const auto q = reference_probabilities(pair.draft.logits(kPrompt), sampling, kPrompt);
    const double got = accepted_by_rank("rejection:length=1", sampling, 1, 100000)[0];
    EXPECT_NEAR(got, overlap(p, q), 0.008) << "temperature " << temperature;
    EXPECT_NEAR(accepted_by_rank("rejection-tree:length=1", sampling, 4, 100000)[0], overlap(p, q),
                0.008);
  }
}

TEST(Rejection, AcceptsEveryFurtherCandidateAsOftenAsEnumerated) {
  const SamplingOptions sampling{.temperature = 0.6F};
  Pair pair({.n_vocab = 6, .n_context = 64});
  std::vector<double> expected(5);
  enumerate(reference_probabilities(pair.target.logits(kPrompt), sampling, kPrompt),
            reference_probabilities(pair.draft.logits(kPrompt), sampling, kPrompt), 1.0, 0,
            expected);
  const auto got = accepted_by_rank("rejection-tree:length=1", sampling, 4, 100000);
  for (std::size_t rank = 0; rank < expected.size(); ++rank) {
    EXPECT_NEAR(got[rank], expected[rank], 0.008) << "rank " << rank;
  }
}

TEST(Rejection, ADraftThatIsTheTargetIsAlwaysAccepted) {
  for (const char* method : {"rejection:length=4", "rejection-tree:width=2,length=4,nodes=7"}) {
    Pair pair({.n_vocab = 12, .n_context = 400}, 1.0F);
    Session session(pair.target, &pair.draft, {.method = parse_method(method), .max_tokens = 100});
    run(session);
    EXPECT_GE(session.statistics().tokens_per_pass(), method[9] == ':' ? 5.0 : 3.0) << method;
  }
}

TEST(Rejection, SaysTheSameForASeedInOneSessionAndInTwo) {
  for (const char* method : kMethods) {
    Pair pair;
    Session session(pair.target, &pair.draft, {.method = parse_method(method), .max_tokens = 60});
    const std::vector<TokenId> first = run(session, 1);
    EXPECT_NE(run(session, 2), first) << method;
    EXPECT_EQ(run(session, 1), first) << method << ": nothing of another text shows";
    EXPECT_EQ(run(pair, method, {}, 1, 60), first) << method;
  }
}

TEST(Rejection, SaysWhatPlainDecodingSaysAtTemperatureZero) {
  for (const float share : {1.0F, 0.7F, 0.0F}) {
    Pair pair({.n_vocab = 12, .n_context = 400}, share);
    for (const char* method : kMethods) {
      EXPECT_EQ(run(pair, method, {.temperature = 0.0F}), run(pair, "ar", {.temperature = 0.0F}))
          << method;
    }
  }
}

TEST(Rejection, HasNoRunnerUpButAtTemperatureZero) {
  Pair pair;
  Session session(pair.target, &pair.draft, {.method = parse_method("rejection-tree")});
  run(session);
  for (const GeneratedToken& t : session.generated()) {
    EXPECT_EQ(t.runner_up, t.token);
    EXPECT_EQ(t.margin, std::numeric_limits<float>::infinity());
  }
  Session cold(pair.target, &pair.draft,
               {.sampling = {.temperature = 0.0F}, .method = parse_method("rejection-tree")});
  run(cold);
  for (const GeneratedToken& t : cold.generated()) EXPECT_NE(t.runner_up, t.token);
}

TEST(Rejection, StaysWithinNodesLeavesWidthAndRoom) {
  for (const std::size_t max_leaves : {1, 2, 5, 64}) {
    Pair pair;
    pair.target.mutable_limits().max_leaves = max_leaves;
    pair.target.mutable_limits().max_pass_nodes = 11;
    pair.target.mutable_limits().can_branch = max_leaves > 1;
    pair.draft.mutable_limits().can_branch = max_leaves > 1;
    Session session(
        pair.target, &pair.draft,
        {.method = parse_method("rejection-tree:width=3,length=6,nodes=14"), .max_tokens = 50});
    Outcome outcome = session.start(kPrompt, 4);
    while (outcome == Outcome::running) {
      const std::size_t room = 50 - session.generated().size();
      outcome = session.step();
      const DraftTree& tree = session.last_tree();
      EXPECT_LE(tree.n_drafted(), 10U);
      EXPECT_LE(tree.n_leaves(), max_leaves);
      std::vector<std::size_t> n_inner(7);
      for (std::size_t i = 0; i < tree.size(); ++i) {
        const auto depth = static_cast<std::size_t>(tree.depth(node_id(i)));
        EXPECT_LT(depth, std::max<std::size_t>(room, 1));
        ASSERT_LE(depth, 6U);
        if (!tree.is_leaf(node_id(i))) ++n_inner[depth];
      }
      for (const std::size_t n : n_inner) EXPECT_LE(n, 3U);
    }
    EXPECT_EQ(outcome, Outcome::length);
    EXPECT_EQ(session.generated().size(), 50U);
  }
}

TEST(Rejection, VerifiesAsManyNodesAsItIsGiven) {
  Pair pair;
  Session session(pair.target, &pair.draft,
                  {.method = parse_method("rejection-tree:width=4,length=5,nodes=33")});
  ASSERT_EQ(session.start(kPrompt), Outcome::running);
  static_cast<void>(session.step());
  EXPECT_EQ(session.last_tree().n_drafted(), 33U) << "more than width * length";
}

TEST(Rejection, GoesOnWithADraftOfShorterContext) {
  for (const char* method : kMethods) {
    Pair pair({.n_vocab = 12, .n_context = 100});
    TableModel draft({.n_vocab = 12, .n_context = 20});
    Session session(pair.target, &draft, {.method = parse_method(method), .max_tokens = 90});
    EXPECT_EQ(run(session).size(), 90U) << method;
  }
}

TEST(Rejection, DraftsOnlyWhatBothVocabulariesHave) {
  for (const std::size_t n_vocab : {10, 16}) {
    for (const float temperature : {0.0F, 1.0F}) {
      for (const char* method : kMethods) {
        Pair pair;
        TableModel draft({.n_vocab = n_vocab, .n_context = 400});
        Session session(pair.target, &draft,
                        {.sampling = {.temperature = temperature},
                         .method = parse_method(method),
                         .max_tokens = 100});
        EXPECT_EQ(run(session).size(), 100U);
        if (temperature == 0.0F) {
          EXPECT_EQ(run(session), run(pair, "ar", {.temperature = 0.0F}));
        }
      }
    }
  }
}

TEST(Rejection, EndsAtTheEndTokenAndAtAFullContext) {
  for (const char* method : kMethods) {
    Pair pair({.n_vocab = 12, .n_context = 400, .end = TokenId{4}});
    Session session(pair.target, &pair.draft, {.method = parse_method(method), .max_tokens = 300});
    Outcome outcome = session.start(kPrompt, 1);
    while (outcome == Outcome::running) outcome = session.step();
    EXPECT_EQ(outcome, Outcome::eos);
    for (const GeneratedToken& t : session.generated()) EXPECT_NE(t.token, TokenId{4});

    Pair small({.n_vocab = 12, .n_context = 20});
    Session full(small.target, &small.draft, {.method = parse_method(method), .max_tokens = 300});
    EXPECT_EQ(run(full).size(), 18U) << method;
  }
}

TEST(Rejection, SurvivesAFullDraftAndACancelledOne) {
  for (const char* method : kMethods) {
    Pair pair;
    Session session(pair.target, &pair.draft, {.method = parse_method(method), .max_tokens = 60});
    ASSERT_EQ(session.start(kPrompt), Outcome::running);
    pair.draft.set_full(true);
    ASSERT_EQ(session.step(), Outcome::running);
    EXPECT_EQ(session.last_tree().n_drafted(), 0U);
    EXPECT_EQ(session.last_tokens().size(), 1U);
    pair.draft.set_full(false);
    ASSERT_EQ(session.step(), Outcome::running);
    EXPECT_GT(session.last_tree().n_drafted(), 0U);
    pair.draft.set_cancelled(true);
    EXPECT_EQ(session.step(), Outcome::cancelled);
    pair.draft.set_cancelled(false);
    EXPECT_EQ(run(session), run(pair, method, {}, 1, 60)) << "as if nothing had happened";
  }
}

TEST(Rejection, RefusesARowOfWhichNothingIsAllowed) {
  Pair pair;
  SamplingOptions sampling;
  for (std::size_t v = 0; v < 12; ++v) {
    sampling.logit_bias.push_back({token_id(v), -std::numeric_limits<float>::infinity()});
  }
  Session session(pair.target, &pair.draft,
                  {.sampling = sampling, .method = parse_method("rejection")});
  ASSERT_EQ(session.start(kPrompt), Outcome::running);
  EXPECT_ANY_THROW(static_cast<void>(session.step()));
}

}  // namespace
}  // namespace gumbelspec
