#include "gumbelspec/session.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gumbelspec/error.h"
#include "testing/table_model.h"

namespace gumbelspec {
namespace {

using testing::TableModel;

const std::vector<TokenId> kPrompt = {TokenId{1}, TokenId{3}};

const char* const kMethods[] = {
    "gumbel-chain:length=1",
    "gumbel-chain:length=6",
    "greedy-chain:length=1",
    "greedy-chain:length=5",
    "gumbel-beam:width=2,length=3",
    "gumbel-beam",
    "gumbel-beam:width=8,length=8",
    "gumbel-beam:width=8,length=8,keep=0",
    "gumbel-beam:width=6,length=4,nodes=5,tau=3",
    "gumbel-beam:width=3,length=30",
    "gumbel-tree:nodes=8",
    "gumbel-tree:width=3,length=6,nodes=64",
    "gumbel-tree",
};

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

std::vector<TokenId> run(Pair& pair, const char* method, SamplingOptions sampling = {},
                         std::uint64_t seed = 1, std::size_t n = 100) {
  Session session(pair.target, &pair.draft,
                  {.sampling = sampling, .method = parse_method(method), .max_tokens = n});
  return run(session, seed);
}

TEST(Session, SaysTheSameForASeedWithEveryMethodAndShape) {
  SamplingOptions penalties{.temperature = 0.9F, .top_p = 0.95F};
  penalties.repeat_penalty = 1.2F;
  penalties.presence_penalty = 0.3F;
  penalties.penalty_last_n = 10;
  const SamplingOptions samplings[] = {
      {}, {.temperature = 0.0F}, {.temperature = 0.5F, .top_k = 4}, penalties};
  for (const float share : {1.0F, 0.7F, 0.0F}) {
    for (const SamplingOptions& sampling : samplings) {
      for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        Pair pair({.n_vocab = 12, .n_context = 400}, share);
        const std::vector<TokenId> expected = run(pair, "ar", sampling, seed);
        ASSERT_EQ(expected.size(), 100U);
        for (const char* method : kMethods) {
          EXPECT_EQ(run(pair, method, sampling, seed), expected)
              << method << ", seed " << seed << ", share " << share;
        }
      }
    }
  }
}

TEST(Session, PlainDecodingIsTheArgmaxOfLogitPlusNoise) {
  Pair pair;
  std::vector<TokenId> text = kPrompt;
  for (int i = 0; i < 100; ++i) {
    std::vector<float> noise(12);
    fill_noise({17, 0}, position_after(text.size()), noise);
    text.push_back(choose(pair.target.logits(text), noise).token);
  }
  text.erase(text.begin(), text.begin() + 2);
  EXPECT_EQ(run(pair, "ar", {}, 17), text);
}

TEST(Session, ADraftThatIsTheTargetIsAlwaysAccepted) {
  Pair pair({.n_vocab = 12, .n_context = 400}, 1.0F);
  Session session(pair.target, &pair.draft,
                  {.method = parse_method("gumbel-chain:length=4"), .max_tokens = 100});
  run(session);
  EXPECT_EQ(session.statistics().n_target_passes, 20U);
  EXPECT_EQ(session.statistics().n_accepted, 80U);
  EXPECT_EQ(session.statistics().tokens_per_pass(), 5.0);
}

// llama.cpp's rule: what is drafted does not look at the noise, only what is accepted does.
TEST(Session, AGreedyChainDraftsTheLikeliestTokens) {
  Pair pair;
  SamplingOptions sampling{.temperature = 1.5F};
  sampling.presence_penalty = 0.5F;
  SamplingOptions greedy = sampling;
  greedy.temperature = 0.0F;
  Session session(pair.target, &pair.draft,
                  {.sampling = sampling, .method = parse_method("greedy-chain:length=3")});
  LogWeights weights(greedy, 12);
  Outcome outcome = session.start(kPrompt, 3);
  std::vector<TokenId> text = kPrompt;
  while (outcome == Outcome::running) {
    outcome = session.step();
    const DraftTree& tree = session.last_tree();
    std::vector<TokenId> drafted = text;
    for (std::size_t i = 1; i < tree.size(); ++i) {
      const TokenId likeliest =
          choose(weights(pair.draft.logits(drafted), TextView{drafted, {}}), {}).token;
      EXPECT_EQ(tree.token(node_id(i)), likeliest);
      EXPECT_EQ(tree.parent(node_id(i)), node_id(i - 1));
      drafted.push_back(likeliest);
    }
    text.assign(session.text().begin(), session.text().end());
  }
  EXPECT_GT(session.statistics().n_accepted, 0U);
}

TEST(Session, CountsWhatItDoes) {
  Pair pair;
  Session session(pair.target, &pair.draft,
                  {.method = parse_method("gumbel-beam:width=3,length=3"), .max_tokens = 100});
  const std::size_t target_before = pair.target.n_passes();
  const std::size_t draft_before = pair.draft.n_passes();
  run(session);
  const Statistics& s = session.statistics();
  EXPECT_EQ(s.n_prompt, 2U);
  EXPECT_EQ(s.n_generated, 100U);
  EXPECT_EQ(s.n_target_passes, pair.target.n_passes() - target_before);
  EXPECT_EQ(s.n_draft_passes, pair.draft.n_passes() - draft_before);
  EXPECT_EQ(s.n_rounds, s.n_target_passes);
  EXPECT_EQ(s.n_accepted + s.n_rounds, 100U) << "every round adds one token of its own";
  EXPECT_GE(s.own_s(), 0.0);
  std::size_t n_drafted_tokens = 0;
  std::uint32_t round = 0;
  for (const GeneratedToken& t : session.generated()) {
    n_drafted_tokens += t.was_drafted ? 1U : 0U;
    EXPECT_TRUE(t.round == round || t.round == round + 1);
    EXPECT_EQ(t.depth == 0, t.round != round || &t == session.generated().data());
    round = t.round;
    EXPECT_GE(t.margin, 0.0F);
  }
  EXPECT_EQ(n_drafted_tokens, s.n_accepted);
}

TEST(Session, HandsOutWhatTheLastStepAppended) {
  Pair pair;
  Session session(pair.target, &pair.draft, {.max_tokens = 50});
  std::vector<TokenId> text(kPrompt);
  Outcome outcome = session.start(kPrompt);
  while (outcome == Outcome::running) {
    outcome = session.step();
    for (const GeneratedToken& t : session.last_tokens()) text.push_back(t.token);
    const WalkResult& walk = session.last_walk();
    for (std::size_t i = 1; i < walk.path.size(); ++i) {
      EXPECT_EQ(session.last_tree().token(walk.path[i]), walk.choices[i - 1].token);
    }
  }
  EXPECT_TRUE(std::equal(text.begin(), text.end(), session.text().begin(), session.text().end()));
}

TEST(Session, EndsAtTheSameTokenForEveryLimit) {
  Pair pair;
  const std::vector<TokenId> all = run(pair, "ar");
  for (std::size_t n = 0; n <= 20; ++n) {
    for (const char* method : kMethods) {
      Session session(pair.target, &pair.draft, {.method = parse_method(method), .max_tokens = n});
      const std::vector<TokenId> got = run(session);
      EXPECT_EQ(got, std::vector<TokenId>(all.begin(), all.begin() + static_cast<int>(n)));
    }
  }
}

TEST(Session, StopsWhenTheContextIsFull) {
  for (const char* method : {"ar", "greedy-chain", "gumbel-chain:length=6", "gumbel-beam"}) {
    Pair pair({.n_vocab = 12, .n_context = 20});
    Session session(pair.target, &pair.draft, {.method = parse_method(method), .max_tokens = 1000});
    Outcome outcome = session.start(kPrompt);
    while (outcome == Outcome::running) outcome = session.step();
    EXPECT_EQ(outcome, Outcome::context_full);
    EXPECT_EQ(session.text().size(), 20U);
    EXPECT_THROW(static_cast<void>(session.step()), std::logic_error);
  }
}

TEST(Session, GoesOnWithoutADraftWhoseContextIsFull) {
  Pair pair({.n_vocab = 12, .n_context = 100});
  TableModel::Options small{.n_vocab = 12, .n_context = 20};
  TableModel draft(small);
  const std::vector<TokenId> expected = run(pair, "ar", {}, 1, 90);
  Session session(pair.target, &draft, {.max_tokens = 90});
  EXPECT_EQ(run(session), expected);
}

TEST(Session, EndsBeforeTheEndToken) {
  for (const char* method : {"ar", "greedy-chain", "gumbel-chain:length=6", "gumbel-beam"}) {
    Pair pair({.n_vocab = 12, .n_context = 400, .end = TokenId{4}});
    Pair endless;
    const std::vector<TokenId> all = run(endless, "ar");
    const auto end = std::find(all.begin(), all.end(), TokenId{4});
    ASSERT_NE(end, all.end());
    Session session(pair.target, &pair.draft, {.method = parse_method(method), .max_tokens = 100});
    Outcome outcome = session.start(kPrompt, 1);
    while (outcome == Outcome::running) outcome = session.step();
    EXPECT_EQ(outcome, Outcome::eos);
    std::vector<TokenId> got;
    for (const GeneratedToken& t : session.generated()) got.push_back(t.token);
    EXPECT_EQ(got, std::vector<TokenId>(all.begin(), end));
  }
}

TEST(Session, CanBeStartedAgain) {
  Pair pair;
  Session session(pair.target, &pair.draft, {.max_tokens = 60});
  const std::vector<TokenId> first = run(session, 1);
  const std::vector<TokenId> second = run(session, 2);
  EXPECT_NE(first, second);
  EXPECT_EQ(run(session, 1), first);
  EXPECT_EQ(session.statistics().n_generated, 60U);
}

TEST(Session, StreamsOfASeedAreDifferentTexts) {
  Pair pair;
  const auto text_of = [&](std::uint32_t stream) {
    Session session(pair.target, &pair.draft, {.stream = stream, .max_tokens = 60});
    Outcome outcome = session.start(kPrompt);
    while (outcome == Outcome::running) outcome = session.step();
    return std::vector<TokenId>(session.text().begin(), session.text().end());
  };
  EXPECT_NE(text_of(0), text_of(1));
  EXPECT_EQ(text_of(1), text_of(1));
}

TEST(Session, TwoOnTheSameModelsDoNotDisturbEachOther) {
  Pair pair;
  Session a(pair.target, &pair.draft, {.max_tokens = 60});
  Session b(pair.target, &pair.draft, {.max_tokens = 60});
  const std::vector<TokenId> expected = run(a, 1);
  Outcome of_a = a.start(kPrompt, 1);
  Outcome of_b = b.start(kPrompt, 2);
  while (of_a == Outcome::running || of_b == Outcome::running) {
    if (of_a == Outcome::running) of_a = a.step();
    if (of_b == Outcome::running) of_b = b.step();
  }
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(a.generated()[i].token, expected[i]);
}

TEST(Session, WorksOnModelsThatCannotBranchOrDrop) {
  Pair pair;
  const std::vector<TokenId> expected = run(pair, "ar");
  pair.target.mutable_limits().can_branch = false;
  pair.draft.mutable_limits().can_branch = false;
  const Method beam = parse_method("gumbel-beam");
  const Method chain = possible_method(beam, pair.target.limits(), pair.draft.limits()).method;
  EXPECT_EQ(run(pair, to_string(chain).c_str()), expected);
  pair.target.mutable_limits().can_drop = false;
  const Method plain = possible_method(beam, pair.target.limits(), pair.draft.limits()).method;
  EXPECT_EQ(run(pair, to_string(plain).c_str()), expected);
}

// Counts how often the row of a position is drawn.
class CountingNoise final : public NoiseSource {
 public:
  void fill(NoiseKey key, Position position, std::span<float> out) const override {
    ++n_drawn[position];
    fill_noise(key, position, out);
  }
  mutable std::map<Position, int> n_drawn;
};

TEST(Session, DrawsTheNoiseOfAPositionOnce) {
  for (const char* method : kMethods) {
    Pair pair;
    const auto noise = std::make_shared<CountingNoise>();
    SessionParts parts;
    parts.noise = noise;
    Session session(pair.target, &pair.draft, {.method = parse_method(method), .max_tokens = 200},
                    std::move(parts));
    (void)run(session);
    EXPECT_GE(noise->n_drawn.size(), 200U);
    for (const auto& [position, n] : noise->n_drawn) {
      ASSERT_EQ(n, 1) << method << ", position " << index(position);
    }
  }
}

TEST(Session, KeepsTheTextWhenCancelled) {
  Pair pair;
  const std::vector<TokenId> all = run(pair, "ar");
  int n_asked = 0;
  Session session(pair.target, &pair.draft, {.max_tokens = 100},
                  {.is_cancelled = [&] { return ++n_asked > 5; }});
  Outcome outcome = session.start(kPrompt, 1);
  while (outcome == Outcome::running) outcome = session.step();
  EXPECT_EQ(outcome, Outcome::cancelled);
  ASSERT_GT(session.generated().size(), 0U);
  for (std::size_t i = 0; i < session.generated().size(); ++i) {
    EXPECT_EQ(session.generated()[i].token, all[i]);
  }
}

TEST(Session, IsCancelledByAModelToo) {
  Pair pair;
  Session session(pair.target, &pair.draft,
                  {.method = parse_method("gumbel-beam:width=4,length=5"), .max_tokens = 100});
  ASSERT_EQ(session.start(kPrompt), Outcome::running);
  ASSERT_EQ(session.step(), Outcome::running);
  pair.draft.set_cancelled(true);
  EXPECT_EQ(session.step(), Outcome::cancelled);
  EXPECT_EQ(session.start(kPrompt), Outcome::cancelled);
  pair.draft.set_cancelled(false);
  pair.target.set_cancelled(true);
  EXPECT_EQ(session.start(kPrompt), Outcome::cancelled);
  pair.target.set_cancelled(false);
  EXPECT_EQ(run(session), run(pair, "ar"));
}

TEST(Session, AFullCacheEndsTheTextCleanly) {
  Pair pair;
  Session session(pair.target, &pair.draft, {.max_tokens = 100});
  ASSERT_EQ(session.start(kPrompt), Outcome::running);
  ASSERT_EQ(session.step(), Outcome::running);
  const std::size_t n = session.generated().size();
  pair.target.set_full(true);
  EXPECT_EQ(session.step(), Outcome::context_full);
  EXPECT_EQ(session.generated().size(), n);
}

TEST(Session, RefusesPromptsThatCannotBe) {
  Pair pair({.n_vocab = 12, .n_context = 20});
  Session session(pair.target, &pair.draft, {});
  const auto code_of = [&](const std::vector<TokenId>& prompt) {
    try {
      static_cast<void>(session.start(prompt));
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
      return e.code();
    }
    ADD_FAILURE() << "a prompt of " << prompt.size() << " tokens was let through";
    return ErrorCode::evaluation_failed;
  };
  EXPECT_EQ(code_of({}), ErrorCode::invalid_prompt);
  EXPECT_EQ(code_of({TokenId{12}}), ErrorCode::invalid_prompt);
  EXPECT_EQ(code_of({TokenId{-1}}), ErrorCode::invalid_prompt);
  EXPECT_EQ(code_of(std::vector<TokenId>(20, TokenId{1})), ErrorCode::prompt_too_long);
  EXPECT_EQ(session.start(std::vector<TokenId>(19, TokenId{1})), Outcome::running);
}

TEST(Session, RefusesOptionsThatCannotBe) {
  Pair pair;
  const auto make = [&](TextOptions options, LanguageModel* draft) {
    Session session(pair.target, draft, std::move(options));
  };
  EXPECT_NO_THROW(make({}, nullptr)) << "what drafts from the text itself";
  for (const char* method : {"gumbel-beam", "gumbel-tree:sources=none"}) {
    EXPECT_THROW(make({.method = parse_method(method)}, nullptr), Error) << method;
  }
  EXPECT_NO_THROW(make({.method = parse_method("ar")}, nullptr));
  TextOptions options;
  options.sampling.logit_bias = {{TokenId{12}, 1.0F}};
  EXPECT_THROW(make(options, &pair.draft), Error);
  options.sampling = {.temperature = -1.0F};
  EXPECT_THROW(make(options, &pair.draft), Error);
}

TEST(Session, DraftsWithAVocabularyThatIsPaddedDifferently) {
  Pair pair;
  const std::vector<TokenId> expected = run(pair, "ar");
  for (const std::size_t n_vocab : {10, 16}) {
    TableModel draft({.n_vocab = n_vocab, .n_context = 400});
    Session session(pair.target, &draft, {.max_tokens = 100});
    EXPECT_EQ(run(session), expected);
    Session greedy(pair.target, &draft, {.sampling = {.temperature = 0.0F}, .max_tokens = 100});
    EXPECT_EQ(run(greedy), run(pair, "ar", {.temperature = 0.0F}));
  }
}

}  // namespace
}  // namespace gumbelspec
