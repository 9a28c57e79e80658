// Several sequences in one cache.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

constexpr std::size_t kPrompt = 16;

std::unique_ptr<LlamaModel> load_draft(std::size_t n_sequences, std::size_t n_context = 256) {
  LlamaModelOptions options;
  options.path = std::string(GUMBELSPEC_MODELS_DIR) + "/demo-draft-q8_0.gguf";
  options.n_sequences = n_sequences;
  options.n_threads = 1;
  options.n_context = n_context;
  return LlamaModel::load(options);
}

struct Request {
  SeqId seq{};
  std::vector<TokenId> text;
  std::vector<Logits> oracle;
  std::size_t n_done = kPrompt;
};

std::vector<Request> open_requests(LlamaModel& model, std::size_t n_text) {
  const auto alone = load_draft(1);
  std::vector<Request> requests(3);
  for (std::size_t r = 0; r < requests.size(); ++r) {
    std::mt19937 random(static_cast<unsigned>(r));
    requests[r].text = random_text(random, n_text, 4096);
    const SeqId seq = alone->open();
    requests[r].oracle = decode_plainly(*alone, seq, requests[r].text, kPrompt);
    alone->close(seq);
    requests[r].seq = model.open();
    EXPECT_EQ(model.extend(requests[r].seq, std::span(requests[r].text).first(kPrompt)),
              PassOutcome::ok);
  }
  return requests;
}

// One round of all requests: their trees mixed in one pass, commits in the order given.
void one_round(LlamaModel& model, std::vector<Request>& requests, std::mt19937& random,
               const std::vector<std::size_t>& order) {
  std::vector<RandomTree> trees;
  for (const Request& request : requests) {
    const auto rest = std::span(request.text).subspan(request.n_done);
    trees.push_back(random_tree(
        random, request.seq, rest.first(std::min<std::size_t>(8, rest.size())), 1 + random() % 20));
  }
  std::vector<PassNode> nodes;
  std::vector<std::pair<std::size_t, int>> which;  // request, depth
  for (std::size_t i = 0; i < 20; ++i) {
    for (std::size_t r = 0; r < requests.size(); ++r) {
      if (i >= trees[r].nodes.size()) continue;
      nodes.push_back(trees[r].nodes[i]);
      which.emplace_back(r, trees[r].depth[i]);
    }
  }
  ASSERT_EQ(model.evaluate(nodes), PassOutcome::ok);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto [r, depth] = which[i];
    if (depth < 0) continue;
    const std::size_t position = requests[r].n_done + static_cast<std::size_t>(depth);
    ASSERT_TRUE(same_bits(model.row(i), requests[r].oracle[position - kPrompt]))
        << "request " << r << ", position " << position;
  }
  for (const std::size_t r : order) {
    const auto path = path_along(trees[r], 1 + random() % 6);
    model.commit(requests[r].seq, path);
    requests[r].n_done += path.size();
  }
}

TEST(Sequences, MixedInOnePassGiveTheBitsOfEachAlone) {
  const auto model = load_draft(3);
  std::vector<Request> requests = open_requests(*model, 240);
  std::mt19937 random(5);
  std::vector<std::size_t> order = {0, 1, 2};
  for (;;) {
    std::shuffle(order.begin(), order.end(), random);
    bool is_near_end = false;
    for (const Request& request : requests) is_near_end |= request.n_done + 8 >= 240;
    if (is_near_end) break;
    one_round(*model, requests, random, order);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(requests[0].n_done, 100U);
}

TEST(Sequences, ClosingOneAndShorteningOneLeaveTheOthersAlone) {
  const auto model = load_draft(3);
  std::vector<Request> requests = open_requests(*model, 240);
  std::mt19937 random(6);
  for (int round = 0; round < 12; ++round) {
    one_round(*model, requests, random, {2, 0, 1});
    if (HasFatalFailure()) return;
    Request& shortened = requests[static_cast<std::size_t>(round) % 3];
    shortened.n_done = kPrompt + random() % (shortened.n_done - kPrompt + 1);
    model->truncate(shortened.seq, shortened.n_done);
    Request& reopened = requests[static_cast<std::size_t>(round + 1) % 3];
    model->close(reopened.seq);
    reopened.seq = model->open();
    reopened.n_done = kPrompt;
    ASSERT_EQ(model->extend(reopened.seq, std::span(reopened.text).first(kPrompt)),
              PassOutcome::ok);
  }
}

TEST(Sequences, AreLimitedAndCheckedForBeingOpen) {
  const auto model = load_draft(2);
  const SeqId first = model->open();
  const SeqId second = model->open();
  EXPECT_NE(first, second);
  EXPECT_THROW(model->open(), std::logic_error);
  model->close(first);
  EXPECT_THROW(model->close(first), std::logic_error);
  EXPECT_THROW((void)model->n_committed(first), std::logic_error);
  EXPECT_EQ(model->open(), first);
  EXPECT_EQ(model->n_committed(first), 0U);
}

TEST(Sequences, EachCanFillItsContext) {
  const auto model = load_draft(3, 64);
  std::mt19937 random(1);
  const auto text = random_text(random, 64, 4096);
  for (int i = 0; i < 3; ++i) {
    const SeqId seq = model->open();
    EXPECT_EQ(model->extend(seq, text), PassOutcome::ok);
    const PassNode node{seq, kCommitted, text[0], true};
    EXPECT_EQ(model->evaluate({&node, 1}), PassOutcome::no_space);
  }
}

}  // namespace
}  // namespace gumbelspec::testing
