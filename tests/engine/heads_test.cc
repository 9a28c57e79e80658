// Draft heads, in memory: a head with right states drafts what a plain draft with the same logits
// drafts, every committed token was read with the target's state, and no text depends on it. The
// head checks that each state it is given is that of the token before.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "gumbelspec/batch.h"
#include "gumbelspec/draft_reader.h"
#include "gumbelspec/error.h"
#include "gumbelspec/session.h"
#include "testing/table_model.h"

namespace gumbelspec {
namespace {

using testing::TableModel;

constexpr float kShare = 0.7F;
constexpr std::uint64_t kDraftSeed = 5;
const TableModel::Options kOptions = {.n_vocab = 12, .spread = 2.0F, .n_context = 600};
const char* const kMethods[] = {"greedy-chain",   "gumbel-chain:length=7",
                                "gumbel-beam",    "gumbel-tree:nodes=9",
                                "rejection",      "rejection-tree",
                                "block:length=4", "gumbel-tree:nodes=12,sources=suffix+recycled"};

std::vector<TokenId> prompt_of(std::size_t n, std::size_t first = 3) {
  std::vector<TokenId> prompt;
  for (std::size_t i = 0; i < n; ++i) prompt.push_back(token_id((first + i * i) % 12));
  return prompt;
}

// What a tree has and how far the walk went.
std::vector<int> shape_of(const Session& session) {
  std::vector<int> shape;
  const DraftTree& tree = session.last_tree();
  for (std::size_t i = 0; i < tree.size(); ++i) {
    shape.push_back(static_cast<int>(index(tree.token(node_id(i)))));
    if (i > 0) shape.push_back(static_cast<int>(index(tree.parent(node_id(i)))));
  }
  shape.push_back(static_cast<int>(session.last_walk().n_accepted()));
  return shape;
}

TEST(Heads, DraftWhatAPlainDraftWithTheirLogitsDrafts) {
  TableModel target(kOptions);
  TableModel draft = TableModel::draft_of(target, kShare, kDraftSeed);
  TableModel head = TableModel::head_of(target, kShare, kDraftSeed);
  for (const char* method : kMethods) {
    for (const std::size_t n_prompt : {1, 2, 3, 30}) {
      const TextOptions options{.method = parse_method(method), .max_tokens = 60};
      Session with_head(target, &head, options);
      Session with_draft(target, &draft, options);
      for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        const std::vector<TokenId> prompt = prompt_of(n_prompt, seed);
        Outcome of_head = with_head.start(prompt, seed);
        Outcome of_draft = with_draft.start(prompt, seed);
        while (of_draft == Outcome::running) {
          of_head = with_head.step();
          of_draft = with_draft.step();
          ASSERT_EQ(of_head, of_draft);
          ASSERT_EQ(shape_of(with_head), shape_of(with_draft)) << method << ", prompt " << n_prompt;
        }
        EXPECT_GT(with_head.statistics().n_accepted, 0U) << method;
      }
    }
  }
  EXPECT_EQ(head.n_committed_blind(), 0U);
}

// Its own states are wrong below the first level, so it finds less there, but as much on it.
TEST(Heads, AreReadAgainWithTheTargetsStates) {
  TableModel target(kOptions);
  TableModel right = TableModel::head_of(target, 1.0F, kDraftSeed);
  TableModel errs = TableModel::head_of(target, 1.0F, kDraftSeed, true);
  const TextOptions options{.method = parse_method("gumbel-chain:length=4"), .max_tokens = 400};
  Session of_right(target, &right, options);
  Session of_errs(target, &errs, options);
  const std::vector<TokenId> prompt = prompt_of(20);
  for (Session* session : {&of_right, &of_errs}) {
    Outcome outcome = session->start(prompt, 9);
    while (outcome == Outcome::running) outcome = session->step();
  }
  EXPECT_TRUE(std::equal(of_right.text().begin(), of_right.text().end(), of_errs.text().begin(),
                         of_errs.text().end()));
  const auto& by_depth = of_errs.statistics().by_depth;
  // A copy of the target, so that with true states every token of the first level is accepted.
  EXPECT_EQ(by_depth[0].n_accepted, by_depth[0].n_drafted);
  EXPECT_LT(by_depth[1].n_accepted, by_depth[1].n_drafted);
  EXPECT_EQ(of_right.statistics().by_depth[3].n_accepted,
            of_right.statistics().by_depth[3].n_drafted);
  EXPECT_EQ(errs.n_committed_blind() + right.n_committed_blind(), 0U);
}

TEST(Heads, AreNamedAsASource) {
  TableModel target(kOptions);
  TableModel head = TableModel::head_of(target, kShare, kDraftSeed);
  Session session(
      target, &head,
      {.method = parse_method("gumbel-tree:nodes=12,sources=suffix"), .max_tokens = 200});
  Outcome outcome = session.start(prompt_of(20), 1);
  while (outcome == Outcome::running) outcome = session.step();
  std::string names;
  for (const SourceCount& source : session.statistics().by_source) names += source.name + " ";
  EXPECT_NE(names.find("head"), std::string::npos) << names;
  EXPECT_NE(names.find("suffix"), std::string::npos) << names;
  EXPECT_EQ(names.find("draft"), std::string::npos) << names;
}

struct Kept {
  std::vector<TokenId> tokens;
  Statistics statistics;
  Outcome outcome = Outcome::running;
  std::string error;
};

class Keep final : public TextSink {
 public:
  explicit Keep(Kept& kept) : kept_(kept) {}
  bool on_round(const BatchRound& round) override {
    for (const GeneratedToken& t : round.tokens) kept_.tokens.push_back(t.token);
    return true;
  }
  void on_end(Outcome outcome, const Statistics& statistics, const Error* error) override {
    kept_.outcome = outcome;
    kept_.statistics = statistics;
    if (error != nullptr) kept_.error = error->what();
  }

 private:
  Kept& kept_;
};

std::vector<TokenId> plain_text(TableModel& target, std::span<const TokenId> prompt,
                                std::uint64_t seed, std::size_t n) {
  Session session(target, nullptr, {.method = parse_method("ar"), .max_tokens = n});
  Outcome outcome = session.start(prompt, seed);
  while (outcome == Outcome::running) outcome = session.step();
  std::vector<TokenId> tokens;
  for (const GeneratedToken& t : session.generated()) tokens.push_back(t.token);
  return tokens;
}

// Several at once, of different methods, then prompts that go on where those ended, that leave them
// in the middle, and that share nothing.
TEST(Heads, DraftForSeveralTextsAndAfterReusedPrefixes) {
  TableModel target(kOptions);
  TableModel head = TableModel::head_of(target, 1.0F, kDraftSeed);
  TableModel plain(kOptions);
  for (const char* method : {"gumbel-tree:nodes=9", "gumbel-chain:length=3", "gumbel-tree"}) {
    head = TableModel::head_of(target, 1.0F, kDraftSeed);
    Batch batch(target, &head, {.prompt_tokens_per_round = 16});
    const std::size_t n_blind = head.n_committed_blind();  // of measuring costs
    std::vector<std::vector<TokenId>> prompts = {prompt_of(40), prompt_of(3, 7), prompt_of(90, 1)};
    for (int turn = 0; turn < 4; ++turn) {
      std::vector<Kept> kept(prompts.size());
      for (std::size_t i = 0; i < prompts.size(); ++i) {
        batch.add(prompts[i],
                  {.method = parse_method(method), .seed = 10 * i + 1, .max_tokens = 40},
                  std::make_unique<Keep>(kept[i]));
      }
      while (batch.step()) {
      }
      for (std::size_t i = 0; i < prompts.size(); ++i) {
        EXPECT_EQ(kept[i].error, "") << method << ", turn " << turn;
        EXPECT_EQ(kept[i].tokens, plain_text(plain, prompts[i], 10 * i + 1, 40)) << method;
        const auto& by_depth = kept[i].statistics.by_depth;
        if (std::string(method) != "gumbel-tree") {
          EXPECT_EQ(by_depth[0].n_accepted, by_depth[0].n_drafted) << method << ", turn " << turn;
        }
        if (turn == 2) prompts[i].resize(prompts[i].size() / 2 + 1);
        prompts[i].insert(prompts[i].end(), kept[i].tokens.begin(), kept[i].tokens.end());
        prompts[i].push_back(token_id(static_cast<std::size_t>(turn)));
      }
    }
    EXPECT_GT(batch.statistics().n_prompt_reused, 0U);
    EXPECT_EQ(head.n_committed_blind(), n_blind) << method;
  }
}

// A head that did not read for a while goes on where the kept states begin.
TEST(Heads, LeaveOutTokensWhoseStatesAreGone) {
  constexpr std::size_t kKept = 8;
  TableModel target(kOptions);
  TableModel head = TableModel::head_of(target, kShare, kDraftSeed);
  const std::vector<TokenId> text = prompt_of(60);
  const SeqId seq = target.open();
  DraftReader reader(head, 32, 8, kKept);
  ASSERT_EQ(reader.begin(std::span(text).first(11)), PassOutcome::ok);
  ASSERT_EQ(target.extend(seq, std::span(text).first(10)), PassOutcome::ok);
  ASSERT_EQ(reader.read_after(target, 0, std::span(text).first(10), true), PassOutcome::ok);
  for (std::size_t i = 10; i < 59; ++i) {
    const PassNode node{.seq = seq, .token = text[i]};
    ASSERT_EQ(target.evaluate({&node, 1}), PassOutcome::ok);
    reader.keep_state(target, 0, i);
    const PendingId id = pending_id(0);
    target.commit(seq, {&id, 1});
  }
  EXPECT_EQ(reader.n_levels(text), 0U) << "with a gap it cannot draft";
  reader.close_gap(text);
  EXPECT_GT(reader.n_levels(text), 0U);
  EXPECT_EQ(reader.n_missing(text), kKept);
  EXPECT_GT(reader.n_skipped(), 0U);
  ASSERT_EQ(reader.read_root(text), PassOutcome::ok);
  const std::span<const float> row = reader.row(reader.n_chain() - 1);
  const std::span<const float> expected = head.logits(text);
  EXPECT_TRUE(std::equal(row.begin(), row.end(), expected.begin()));
  // Without the state of the last token but one it cannot read the root.
  std::vector<TokenId> longer = text;
  longer.push_back(TokenId{1});
  longer.push_back(TokenId{2});
  reader.commit({});
  EXPECT_EQ(reader.n_levels(longer), 0U);
  target.close(seq);
}

TEST(Heads, OfAnotherTargetAreRefused) {
  TableModel target(kOptions);
  TableModel head = TableModel::head_of(target, kShare, kDraftSeed);
  TableModel other(kOptions);
  try {
    Session session(other, &head, {.method = parse_method("gumbel-beam")});
    FAIL() << "a head without states was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_option);
    EXPECT_NE(std::string(error.what()).find("hidden states of 2 numbers"), std::string::npos);
  }
}

}  // namespace
}  // namespace gumbelspec
