#include "gumbelspec/drafter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "gumbelspec/session.h"
#include "src/engine/beam_drafter.h"
#include "testing/table_model.h"

namespace gumbelspec {
namespace {

using testing::TableModel;

constexpr std::size_t kVocab = 7;
const std::vector<TokenId> kText = {TokenId{2}, TokenId{5}, TokenId{1}};

struct Drafted {
  DraftTree tree;
  std::size_t n_passes = 0;
};

struct Limits {
  std::size_t max_depth = 100;
  std::size_t max_nodes = 255;
  std::size_t max_leaves = 255;
};

// A drafter with what a text would lend it.
class Alone {
 public:
  Alone(TableModel& model, const char* method, const SamplingOptions& sampling, std::uint64_t seed)
      : model_(model),
        method_(parse_method(method)),
        drafter_(make_beam_drafter(model.limits(), sampling, method_)),
        noise_(kVocab, 66),
        proposals_(
            {.n_vocab = kVocab, .n_expanded = 257, .n_ranks = 64, .n_nodes = 256, .n_levels = 100}),
        reader_(model, 256, 64) {
    noise_.restart({seed, 0}, source_);
  }

  [[nodiscard]] PassOutcome start(std::span<const TokenId> prompt) {
    drafter_->begin_text(prompt);
    return reader_.start(prompt);
  }

  [[nodiscard]] PassOutcome draft(std::span<const TokenId> text, const Limits& limits,
                                  DraftTree& tree) {
    round_ = {.text = text,
              .max_depth = limits.max_depth,
              .max_nodes = limits.max_nodes,
              .max_leaves = limits.max_leaves,
              .noise = &noise_,
              .proposals = &proposals_,
              .reader = &reader_};
    proposals_.clear(limits.max_depth);
    drafter_->begin(round_);
    for (std::vector<PassNode> pass;; pass.clear()) {
      PassOutcome outcome = drafter_->append(round_, {255, 255}, pass);
      if (outcome == PassOutcome::ok && pass.empty()) break;
      if (outcome == PassOutcome::ok) outcome = model_.evaluate(pass);
      reader_.count_pass(0.0);
      if (outcome == PassOutcome::cancelled) return outcome;
      if (outcome == PassOutcome::no_space) break;
      reader_.take(0);
      drafter_->take(round_);
    }
    drafter_->finish(round_);
    const auto n = static_cast<std::size_t>(method_.node_limit());
    proposals_.settle(std::min(n, limits.max_nodes), limits.max_leaves, tree);
    return PassOutcome::ok;
  }

  void accept(std::span<const NodeId> path) {
    std::vector<PendingId> commit;
    for (const NodeId node : path.subspan(1)) {
      if (proposals_.chosen(node).pending == kNotEvaluated) break;
      commit.push_back(proposals_.chosen(node).pending);
    }
    reader_.commit(commit);
  }
  [[nodiscard]] std::size_t n_passes() const { return reader_.n_passes(); }

 private:
  TableModel& model_;
  Method method_;
  std::unique_ptr<Drafter> drafter_;
  GumbelNoise source_;
  NoiseTable noise_;
  Proposals proposals_;
  DraftReader reader_;
  DraftRound round_;
};

Drafted draft(TableModel& model, const char* method, const SamplingOptions& sampling = {},
              const Limits& limits = {}, std::uint64_t seed = 9) {
  Alone alone(model, method, sampling, seed);
  EXPECT_EQ(alone.start(std::span(kText).first(1)), PassOutcome::ok);
  Drafted result;
  result.tree.reset(kText.back());
  EXPECT_EQ(alone.draft(kText, limits, result.tree), PassOutcome::ok);
  result.n_passes = alone.n_passes();
  return result;
}

using Path = std::vector<TokenId>;

Path path_of(const DraftTree& tree, NodeId node) {
  Path path(static_cast<std::size_t>(tree.depth(node)));
  tree.path_tokens(node, path);
  return path;
}

std::map<Path, double> values_of(const DraftTree& tree) {
  std::map<Path, double> values;
  for (std::size_t i = 1; i < tree.size(); ++i) {
    values[path_of(tree, node_id(i))] = static_cast<double>(tree.log_value(node_id(i)));
  }
  return values;
}

// Beam search written as plainly as possible: all children of all beams, sorted.
std::map<Path, double> reference_beam(const TableModel& model, std::size_t width, int length,
                                      double tau, double temperature, bool keep_pruned,
                                      std::uint64_t seed) {
  std::map<Path, double> all;
  std::vector<std::pair<Path, double>> beams = {{{}, 0.0}};
  for (int level = 0; level < length; ++level) {
    std::vector<std::pair<Path, double>> children;
    for (const auto& [path, value] : beams) {
      std::vector<TokenId> text = kText;
      text.insert(text.end(), path.begin(), path.end());
      const std::span<const float> logits = model.logits(text);
      std::vector<double> s(kVocab);
      double sum = 0.0;
      for (std::size_t v = 0; v < kVocab; ++v) {
        const auto position = position_after(text.size());
        s[v] = static_cast<double>(logits[v]) / temperature +
               static_cast<double>(noise_at({seed, 0}, position, token_id(v)));
        sum += std::exp(s[v] / tau);
      }
      for (std::size_t v = 0; v < kVocab; ++v) {
        Path child = path;
        child.push_back(token_id(v));
        children.emplace_back(child, value + s[v] / tau - std::log(sum));
      }
    }
    std::sort(children.begin(), children.end(),
              [](const auto& a, const auto& b) { return a.second > b.second; });
    children.resize(std::min(children.size(), width));
    beams = children;
    for (const auto& [path, value] : beams) all[path] = value;
  }
  if (keep_pruned) return all;
  std::map<Path, double> survivors;
  for (auto [path, value] : beams) {
    for (; !path.empty(); path.pop_back()) survivors[path] = all[path];
  }
  return survivors;
}

TEST(ModelDrafter, IsBeamSearchByTheProductOfGumbelSoftmaxes) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (const bool keep : {true, false}) {
      for (const auto& [width, length] : {std::pair{1, 4}, {2, 3}, {4, 5}, {7, 2}}) {
        TableModel model({.n_vocab = kVocab, .seed = seed});
        const std::string method = "gumbel-beam:width=" + std::to_string(width) +
                                   ",length=" + std::to_string(length) +
                                   ",tau=0.7,keep=" + (keep ? "1" : "0");
        const Drafted got = draft(model, method.c_str(), {.temperature = 0.8F}, {}, seed);
        const auto expected =
            reference_beam(model, static_cast<std::size_t>(width), length,
                           static_cast<double>(0.7F), static_cast<double>(0.8F), keep, seed);
        const auto values = values_of(got.tree);
        ASSERT_EQ(values.size(), expected.size()) << method << ", seed " << seed;
        for (const auto& [path, value] : expected) {
          ASSERT_TRUE(values.contains(path)) << method << ", seed " << seed;
          EXPECT_NEAR(values.at(path), value, 1e-4);
        }
        EXPECT_EQ(got.n_passes, static_cast<std::size_t>(length)) << "one pass per level";
      }
    }
  }
}

TEST(ModelDrafter, AChainIsWhatTheDraftItselfWouldSay) {
  TableModel model({.n_vocab = kVocab});
  const DraftTree tree = draft(model, "gumbel-chain:length=6").tree;
  ASSERT_EQ(tree.n_drafted(), 6U);
  std::vector<TokenId> text = kText;
  for (std::size_t i = 1; i < tree.size(); ++i) {
    std::vector<float> noise(kVocab);
    fill_noise({9, 0}, position_after(text.size()), noise);
    EXPECT_EQ(tree.token(node_id(i)), choose(model.logits(text), noise).token);
    EXPECT_EQ(tree.parent(node_id(i)), node_id(i - 1));
    text.push_back(tree.token(node_id(i)));
  }
}

TEST(ModelDrafter, AtTemperatureZeroFollowsTheLikeliestTokens) {
  TableModel model({.n_vocab = kVocab});
  const DraftTree tree = draft(model, "gumbel-chain:length=3", {.temperature = 0.0F}).tree;
  EXPECT_EQ(tree.token(node_id(1)), choose(model.logits(kText), {}).token);
}

TEST(ModelDrafter, SeesThePenaltiesOfThePath) {
  TableModel model({.n_vocab = kVocab});
  SamplingOptions sampling{.temperature = 0.0F};
  sampling.presence_penalty = 100.0F;  // no token twice
  const DraftTree tree = draft(model, "gumbel-chain:length=4", sampling).tree;
  std::vector<TokenId> seen = kText;
  for (std::size_t i = 1; i < tree.size(); ++i) {
    EXPECT_EQ(std::count(seen.begin(), seen.end(), tree.token(node_id(i))), 0);
    seen.push_back(tree.token(node_id(i)));
  }
}

TEST(ModelDrafter, StaysWithinTheLimitsOfTheRequest) {
  TableModel model({.n_vocab = kVocab});
  const char* method = "gumbel-beam:width=6,length=5";
  for (const bool keep : {true, false}) {
    const std::string text = std::string(method) + ",keep=" + (keep ? "1" : "0");
    const auto drafted = [&](const Limits& limits) {
      return draft(model, text.c_str(), {}, limits);
    };
    EXPECT_EQ(drafted({.max_nodes = 7}).tree.n_drafted(), 7U);
    EXPECT_LE(drafted({.max_leaves = 2}).tree.n_leaves(), 2U);
    EXPECT_EQ(drafted({.max_depth = 2}).n_passes, 2U);
    EXPECT_EQ(drafted({.max_depth = 0}).tree.n_drafted(), 0U);
  }
  EXPECT_EQ(draft(model, "gumbel-beam:width=6,length=5,nodes=9").tree.n_drafted(), 9U);
}

TEST(ModelDrafter, KeepsTheBestNodesWhenTheyAreTooMany) {
  TableModel model({.n_vocab = kVocab});
  const auto all = values_of(draft(model, "gumbel-beam:width=6,length=4").tree);
  const auto best = values_of(draft(model, "gumbel-beam:width=6,length=4,nodes=8").tree);
  std::vector<double> sorted;
  for (const auto& [path, value] : all) sorted.push_back(value);
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  for (const auto& [path, value] : best) EXPECT_GE(value, sorted[7]);
}

TEST(ModelDrafter, StopsAtTheEndOfItsOwnContext) {
  for (const std::size_t context : {2, 3, 4, 5}) {
    TableModel model({.n_vocab = kVocab, .n_context = context});
    const Drafted got = draft(model, "gumbel-chain:length=5");
    // The root has position 2, and the last level is not evaluated.
    EXPECT_EQ(got.tree.n_drafted(), context < 3 ? 0 : context - 2) << "context " << context;
  }
}

TEST(ModelDrafter, CommitsTheAcceptedPathAndCatchesUp) {
  TableModel model({.n_vocab = kVocab});
  Alone alone(model, "gumbel-beam:width=3,length=3", {}, 4);
  std::vector<TokenId> text = kText;
  ASSERT_EQ(alone.start(text), PassOutcome::ok);
  std::uint32_t random = 1;
  for (int round = 0; round < 15; ++round) {
    DraftTree tree;
    tree.reset(text.back());
    ASSERT_EQ(alone.draft(text, {}, tree), PassOutcome::ok);
    // Down some path, to a leaf in every other round, then a token that may not be in the tree.
    std::vector<NodeId> path = {kRoot};
    random = random * 1664525U + 1013904223U;
    NodeId node = node_id((random >> 8U) % tree.size());
    std::vector<NodeId> up;
    for (; node != kRoot; node = tree.parent(node)) up.push_back(node);
    path.insert(path.end(), up.rbegin(), up.rend());
    for (const NodeId n : std::span(path).subspan(1)) text.push_back(tree.token(n));
    alone.accept(path);
    text.push_back(token_id(random % kVocab));

    const std::span<const TokenId> committed = model.committed(SeqId{0});
    ASSERT_GE(committed.size() + 2, text.size()) << "at most a leaf and the new root are missing";
    ASSERT_TRUE(std::equal(committed.begin(), committed.end(), text.begin()));
  }
}

TEST(ModelDrafter, ProposesNothingWhenTheCacheIsFullAndPassesACancelOn) {
  TableModel model({.n_vocab = kVocab});
  Alone alone(model, "gumbel-beam", {}, 4);
  ASSERT_EQ(alone.start(kText), PassOutcome::ok);
  DraftTree tree;
  tree.reset(kText.back());
  model.set_full(true);
  EXPECT_EQ(alone.draft(kText, {}, tree), PassOutcome::ok);
  EXPECT_EQ(tree.n_drafted(), 0U);
  const NodeId root = kRoot;
  alone.accept({&root, 1});
  model.set_full(false);
  model.set_cancelled(true);
  EXPECT_EQ(alone.draft(kText, {}, tree), PassOutcome::cancelled);
}

TEST(TreeDrafter, ReadsTheWholeTextAgainWhereDraftingPaysAgain) {
  TableModel target({.n_vocab = 64, .n_context = 900});
  TableModel draft = TableModel::draft_of(target, 0.95F, 3);
  // Nodes that cost as much as a pass, until they cost nothing.
  const PassCost draft_cost({{1, 0.3}, {64, 0.4}}, false);
  const auto costs =
      std::make_shared<CostModel>(CostModel{PassCost({{1, 1.0}, {64, 64.0}}, false), draft_cost});
  Session session(target, &draft, {.method = parse_method("gumbel-tree"), .max_tokens = 800},
                  {.costs = costs});
  const std::vector<TokenId> prompt(10, TokenId{1});
  ASSERT_EQ(session.start(prompt), Outcome::running);
  while (session.text().size() < 300) ASSERT_EQ(session.step(), Outcome::running);
  ASSERT_LT(draft.committed(SeqId{0}).size(), 60U);
  costs->target = PassCost({{1, 1.0}, {64, 1.0}}, false);
  while (session.text().size() < 500) ASSERT_EQ(session.step(), Outcome::running);
  EXPECT_GT(session.statistics().n_accepted, 50U);
  EXPECT_GT(draft.committed(SeqId{0}).size(), 450U);
}

TEST(NoiseTable, DrawsEveryPositionOnce) {
  class Counting final : public NoiseSource {
   public:
    void fill(NoiseKey key, Position position, std::span<float> out) const override {
      ++n_drawn;
      fill_noise(key, position, out);
    }
    mutable int n_drawn = 0;
  };
  const Counting source;
  NoiseTable table(kVocab, 3);
  table.restart({1, 0}, source);
  for (const std::uint32_t n : {5U, 6U, 7U, 6U, 5U, 7U}) {
    const Position p{n};
    EXPECT_EQ(table.row(p)[2], noise_at({1, 0}, p, TokenId{2}));
  }
  EXPECT_EQ(source.n_drawn, 3);
  EXPECT_EQ(table.row(Position{8})[0], noise_at({1, 0}, Position{8}, TokenId{0}));
  EXPECT_EQ(table.row(Position{5})[0], noise_at({1, 0}, Position{5}, TokenId{0}));
  table.restart({2, 0}, source);
  EXPECT_EQ(table.row(Position{5})[0], noise_at({2, 0}, Position{5}, TokenId{0}));
}

}  // namespace
}  // namespace gumbelspec
