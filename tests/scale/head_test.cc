// An EAGLE-3 head scaled to its scaled target: the pair drafts what the small pair drafts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "apps/scale/scale_model.h"
#include "gumbelspec/error.h"
#include "gumbelspec/session.h"
#include "tests/cli/process.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

using scale::ModelShape;
using scale::ScaleOptions;

struct Files {
  std::string target, head;
};

// A target with a head.
struct HeadPair {
  std::unique_ptr<LlamaModel> target, head;

  explicit HeadPair(const Files& files)
      : target(LlamaModel::load({.path = files.target, .n_threads = 1})) {
    LlamaModelOptions options{.path = files.head, .n_threads = 1};
    options.attention = Attention::fast;
    options.target = target.get();
    head = LlamaModel::load(options);
  }
};

const std::string& demo_target() {
  static const std::string kPath = model_path("demo-target-q8_0.gguf");
  return kPath;
}
const std::string& demo_head() {
  static const std::string kPath = model_path("demo-eagle3-q8_0.gguf");
  return kPath;
}

void write(const ScaleOptions& options) { (void)scale::scale_model(options); }

// Both rewritten in a type, the small pair's shapes as they were.
Files written_as(const std::string& type, const TemporaryFolder& folder) {
  Files files{folder.file("target-" + type), folder.file("head-" + type)};
  ScaleOptions target{.in = demo_target(), .out = files.target, .type = type};
  target.shape.layers = 6;
  write(target);
  write({.in = demo_head(), .out = files.head, .target = files.target, .type = type});
  return files;
}

// More layers, dimensions, heads for every key/value head, and units.
Files scaled_in(const std::string& type, const TemporaryFolder& folder, int n_vocab = 0) {
  Files files{folder.file("large-target-" + type), folder.file("large-head-" + type)};
  ScaleOptions target{.in = demo_target(), .out = files.target, .type = type};
  target.shape = ModelShape{7, 384, 768, 8, 4};
  target.vocab = n_vocab;
  write(target);
  write({.in = demo_head(), .out = files.head, .target = files.target, .type = type});
  return files;
}

// The head's logits below a prompt, three levels deep: two with its own states.
std::vector<Logits> head_rows(HeadPair& pair) {
  const std::vector<TokenId> prompt =
      pair.target->tokenize("It was a dark night, and the old house");
  const SeqId seq = pair.target->open();
  EXPECT_EQ(pair.target->extend(seq, prompt), PassOutcome::ok);
  const std::size_t n_state = pair.target->limits().n_state;
  std::vector<float> states(prompt.size() * n_state);
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    pair.target->copy_state(i, std::span(states).subspan(i * n_state, n_state));
  }
  // Each token with the state of the one before it.
  std::vector<float> before(n_state);
  before.insert(before.end(), states.begin(), states.end() - 2 * static_cast<long>(n_state));
  const SeqId own = pair.head->open();
  EXPECT_EQ(pair.head->extend_after(own, std::span(prompt).first(prompt.size() - 1), before),
            PassOutcome::ok);
  std::vector<Logits> rows;
  PassNode node{own, kCommitted, prompt.back(), true};
  node.state = states.data() + (prompt.size() - 2) * n_state;
  for (std::uint32_t depth = 0; depth < 3; ++depth) {
    EXPECT_EQ(pair.head->evaluate(std::span(&node, 1)), PassOutcome::ok);
    const auto row = pair.head->row(0);
    rows.emplace_back(row.begin(), row.end());
    const auto best = std::max_element(row.begin(), row.end()) - row.begin();
    node = {own, pending_id(depth), static_cast<TokenId>(best), true};
  }
  pair.head->close(own);
  pair.target->close(seq);
  return rows;
}

// Largest difference over the first tokens, those that both have.
double largest_difference(const std::vector<Logits>& a, const std::vector<Logits>& b) {
  double largest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t v = 0; v < std::min(a[i].size(), b[i].size()); ++v) {
      largest = std::max(largest, std::abs(static_cast<double>(a[i][v] - b[i][v])));
    }
  }
  return largest;
}

// What came of each round: a text, and how much of what was drafted at each depth was in it.
struct Run {
  std::vector<TokenId> text;
  std::vector<std::size_t> drafted, accepted;
  std::size_t n_passes = 0;
};

Run run_of(HeadPair& pair, const char* method, float temperature) {
  Session session(
      *pair.target, pair.head.get(),
      {.sampling = {.temperature = temperature}, .method = parse_method(method), .max_tokens = 60});
  Outcome outcome =
      session.start(pair.target->tokenize("It was a dark night, and the old house"), 3);
  while (outcome == Outcome::running) outcome = session.step();
  Run run;
  for (const GeneratedToken& t : session.generated()) run.text.push_back(t.token);
  const Statistics statistics = session.statistics();
  run.n_passes = statistics.n_target_passes;
  for (const auto& depth : statistics.by_depth) {
    run.drafted.push_back(depth.n_drafted);
    run.accepted.push_back(depth.n_accepted);
  }
  return run;
}

void expect_same_runs(HeadPair& small, HeadPair& large) {
  for (const char* method : {"gumbel-tree:nodes=12,length=5", "rejection:length=4"}) {
    for (const float temperature : {0.0F, 1.0F}) {
      const Run expected = run_of(small, method, temperature);
      const Run got = run_of(large, method, temperature);
      EXPECT_EQ(got.text, expected.text) << method << ", T " << temperature;
      EXPECT_EQ(got.n_passes, expected.n_passes) << method << ", T " << temperature;
      EXPECT_EQ(got.drafted, expected.drafted) << method << ", T " << temperature;
      EXPECT_EQ(got.accepted, expected.accepted) << method << ", T " << temperature;
      EXPECT_LT(got.n_passes, 40U) << "of 60 tokens: the head is right too seldom to tell";
    }
  }
}

TEST(ScaledHead, DraftsWithItsTargetWhatTheSmallPairDrafts) {
  const TemporaryFolder folder;
  HeadPair small(written_as("f32", folder));
  HeadPair large(scaled_in("f32", folder));
  EXPECT_EQ(large.head->limits().n_input_state, 3U * 384U);
  EXPECT_LT(largest_difference(head_rows(small), head_rows(large)), 1e-3);
  expect_same_runs(small, large);
}

TEST(ScaledHead, KeepsItsFunctionBesideAddedTokens) {
  const TemporaryFolder folder;
  HeadPair small(written_as("f32", folder));
  HeadPair large(scaled_in("f32", folder, 5000));
  EXPECT_EQ(large.head->limits().n_vocab, 5000U);
  const std::vector<Logits> rows = head_rows(large);
  EXPECT_LT(largest_difference(head_rows(small), rows), 1e-3);
  // It cannot draft them.
  EXPECT_EQ(*std::max_element(rows[0].begin() + 4096, rows[0].end()), -INFINITY);
  expect_same_runs(small, large);
}

TEST(ScaledHead, RoundsAsTheOriginalDoes) {
  const TemporaryFolder folder;
  HeadPair small({demo_target(), demo_head()});
  HeadPair large(scaled_in("q8_0", folder));
  EXPECT_LT(largest_difference(head_rows(small), head_rows(large)), 0.05);
}

// As published heads have it: a list of the ids that the head can draft.
TEST(ScaledHead, WithAnIdBeyondTheVocabularyIsRefused) {
  const TemporaryFolder folder;
  const Files files = scaled_in("q8_0", folder, 5000);
  std::ifstream in(files.head, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  // The list 0, 1, 2, ...: somewhere in it.
  const std::int64_t ids[] = {1000, 1001, 1002};
  const std::int64_t wrong[] = {1000, 5000, 1002};
  const auto at = bytes.find(std::string(reinterpret_cast<const char*>(ids), sizeof ids));
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, sizeof wrong, reinterpret_cast<const char*>(wrong), sizeof wrong);
  std::ofstream(files.head, std::ios::binary | std::ios::trunc) << bytes;
  try {
    HeadPair pair(files);
    FAIL() << "it is loaded";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("drafts the token 5000 (d2t)"));
  }
}

std::string refusal(const ScaleOptions& options) {
  try {
    write(options);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(ScaledHead, IsRefusedWhereItsFunctionWouldChange) {
  using ::testing::HasSubstr;
  const TemporaryFolder folder;
  const std::string out = folder.file("out");
  ScaleOptions head{.in = demo_head(), .out = out};
  EXPECT_THAT(refusal(head), HasSubstr("--target"));
  head.target = demo_target();
  ScaleOptions bad = head;
  bad.params = 1e8;
  EXPECT_THAT(refusal(bad), HasSubstr("--params is not for EAGLE-3 heads"));
  bad = head;
  bad.vocab = 5000;
  EXPECT_THAT(refusal(bad), HasSubstr("--vocab is not for EAGLE-3 heads"));
  bad = head;
  bad.shape.embd = 128;
  EXPECT_THAT(refusal(bad), HasSubstr("--embd is 128, but the original has 256"));
  bad = head;
  bad.target = model_path("demo-draft-q8_0.gguf");
  EXPECT_THAT(refusal(bad), HasSubstr("states of size 256, but --target was made of a model of"));
  bad.target = demo_head();
  EXPECT_THAT(refusal(bad), HasSubstr("no model of the llama architecture"));
  bad.target = folder.file("none");
  EXPECT_THAT(refusal(bad), HasSubstr("does not exist"));
  const ScaleOptions model{.in = demo_target(), .out = out, .target = demo_target()};
  EXPECT_THAT(refusal(model), HasSubstr("--target is for EAGLE-3 heads"));
}

}  // namespace
}  // namespace gumbelspec::testing
