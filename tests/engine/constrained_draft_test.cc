// Drafts of texts with a constraint: what they propose further down fits it, too, so a draft that
// is as good as its target is accepted as far as it goes.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gumbelspec/error.h"
#include "testing/table_model.h"
#include "tests/engine/batch_fixture.h"

namespace gumbelspec {
namespace {

using testing::add;
using testing::Added;
using testing::Job;
using testing::TableModel;

constexpr std::size_t kVocab = 64;

// Every token has the remainder of its place by 4. With the text that comes of it, it gives up over
// paths that do not lead there, as a grammar that can be read in too many ways there.
class RemainderConstraint final : public TokenConstraint {
 public:
  explicit RemainderConstraint(std::vector<TokenId> text = {}) : text_(std::move(text)) {}
  std::span<const std::uint32_t> allowed(std::span<const TokenId> generated,
                                         std::span<const TokenId> path) override {
    const std::size_t n = generated.size();
    for (std::size_t i = 0; i < path.size() && n + i < text_.size(); ++i) {
      if (path[i] == text_[n + i]) continue;
      ++n_given_up;
      throw Error(ErrorCode::invalid_option, "grammar can be read in too many ways here");
    }
    words_.assign(kVocab / 32, 0);
    for (std::size_t i = (n + path.size()) % 4; i < kVocab; i += 4) {
      words_[i / 32] |= 1U << (i % 32);
    }
    return words_;
  }

  std::size_t n_given_up = 0;

 private:
  std::vector<TokenId> text_;
  std::vector<std::uint32_t> words_;
};

struct Result {
  std::vector<TokenId> tokens;
  std::size_t n_rounds = 0;
};

Result run(const std::string& method, std::shared_ptr<TokenConstraint> constraint,
           float share = 1.0F) {
  TableModel target({.n_vocab = kVocab, .seed = 5, .n_context = 200});
  TableModel draft = TableModel::draft_of(target, share, 9);
  const PassCost cost({{1, 1.0}, {64, 1.0}}, false);
  Batch batch(target, &draft, {.costs = std::make_shared<CostModel>(CostModel{cost, cost})});
  Job job{{token_id(1)}, {}};
  job.options.method = parse_method(method);
  job.options.seed = 3;
  job.options.max_tokens = 60;
  job.options.constraint = std::move(constraint);
  const Added added = add(batch, job);
  while (batch.step()) {
  }
  EXPECT_EQ(added.seen->outcome, Outcome::length) << method;
  return {added.seen->tokens, added.seen->n_rounds};
}

constexpr const char* kMethods[] = {"gumbel-chain:length=4", "gumbel-beam:width=2,length=4",
                                    "gumbel-tree:nodes=8,length=4"};

TEST(ConstrainedDrafts, FitFurtherDown) {
  const Result plain = run("ar", std::make_shared<RemainderConstraint>());
  for (std::size_t i = 0; i < plain.tokens.size(); ++i) {
    ASSERT_EQ(index(plain.tokens[i]) % 4, i % 4);
  }
  for (const char* method : kMethods) {
    const Result drafted = run(method, std::make_shared<RemainderConstraint>());
    EXPECT_EQ(drafted.tokens, plain.tokens) << method;
    EXPECT_LE(drafted.n_rounds, 14U) << method << ": each brings five tokens";
  }
  // Another text, chosen by other random numbers.
  const Result rejection = run("rejection:length=4", std::make_shared<RemainderConstraint>());
  EXPECT_LE(rejection.n_rounds, 14U);
}

TEST(ConstrainedDrafts, DoNotEndATextThatGoesAnotherWay) {
  const Result plain = run("ar", std::make_shared<RemainderConstraint>());
  for (const char* method : kMethods) {
    const auto constraint = std::make_shared<RemainderConstraint>(plain.tokens);
    EXPECT_EQ(run(method, constraint, 0.6F).tokens, plain.tokens) << method;
    EXPECT_GT(constraint->n_given_up, 0U) << method;
  }
}

}  // namespace
}  // namespace gumbelspec
