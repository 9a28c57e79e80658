// Drafts whose vocabulary is not the target's: what their rows mean and what they read, against
// enumerations of a few lines. That no text depends on them: translated_draft_test.cc.
#include "src/engine/translated_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "gumbelspec/error.h"
#include "testing/table_model.h"
#include "tests/engine/translated_fixture.h"

namespace gumbelspec {
namespace {

using namespace testing;
std::vector<double> chances(std::span<const float> row) {
  std::vector<double> result(row.begin(), row.end());
  const double most = *std::max_element(result.begin(), result.end());
  double sum = 0.0;
  for (double& x : result) sum += x = std::exp(x - most);
  for (double& x : result) x /= sum;
  return result;
}

// What a row of the draft says of the target's next tokens, up to two of them, token by token.
struct Enumerated {
  const ListTexts& target;
  const ListTexts& draft;

  [[nodiscard]] std::vector<TokenId> chain(std::size_t d) const {
    const std::string text = draft.token(token_id(d)).text;
    for (std::size_t t = 0; t < target.n_vocab(); ++t) {
      if (target.token(token_id(t)).text == text) return {token_id(t)};
    }
    return target.tokenize(text);
  }
  [[nodiscard]] std::vector<double> first(const std::vector<double>& q) const {
    std::vector<double> p(target.n_vocab());
    for (std::size_t d = 0; d < q.size(); ++d) p[index(chain(d)[0])] += q[d];
    return p;
  }
  // Behind `t`; next: the draft's row once it has read t's tokens.
  [[nodiscard]] std::vector<double> second(const std::vector<double>& q, TokenId t,
                                           const std::vector<double>& next) const {
    std::vector<double> p(target.n_vocab());
    double own = 0.0;
    for (std::size_t d = 0; d < q.size(); ++d) {
      const std::vector<TokenId> tokens = chain(d);
      if (tokens[0] != t) continue;
      if (tokens.size() == 1) own += q[d];
      if (tokens.size() > 1) p[index(tokens[1])] += q[d];
    }
    const std::vector<double> after = first(next);
    for (std::size_t v = 0; v < p.size(); ++v) p[v] += own * after[v];
    const double sum = std::accumulate(p.begin(), p.end(), 0.0);
    for (double& x : p) x /= sum;
    return p;
  }
};

void expect_near(const std::vector<double>& expected, std::span<const float> row) {
  const std::vector<double> got = chances(row);
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 2e-4) << i;
}

TEST(TranslatedModel, SaysOfTheTargetsTokensWhatTheDraftsMean) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 30; ++trial) {
    const auto target = texts_of(random_vocabulary(random, 12));
    const auto draft = texts_of(random_vocabulary(random, 14));
    const Enumerated expected{*target, *draft};
    TableModel table({.n_vocab = 14, .seed = random(), .spread = 2.0F});
    TranslatedModel model(table, target, draft);
    const SeqId seq = model.open();
    const TokenId root = token_id(random() % 12);
    const PassNode first{seq, kCommitted, root, true};
    ASSERT_EQ(model.evaluate({&first, 1}), PassOutcome::ok);
    // The draft knows its last two tokens.
    std::vector<TokenId> read = draft->tokenize(target->token(root).text);
    const auto logits = [&] {
      const TokenId before = read.size() > 1 ? read[read.size() - 2] : TokenId{-1};
      return chances(table.logits(before, read.back()));
    };
    const std::vector<double> q = logits();
    expect_near(expected.first(q), model.row(0));
    std::vector<PassNode> below;
    for (std::size_t t = 0; t < 12; ++t) below.push_back({seq, pending_id(0), token_id(t), true});
    ASSERT_EQ(model.evaluate(below), PassOutcome::ok);
    const std::vector<TokenId> read_before = read;
    const std::vector<double> at_root = expected.first(q);
    for (std::size_t t = 0; t < 12; ++t) {
      if (at_root[t] < 1e-9) continue;  // it says nothing of what cannot come
      const std::vector<TokenId> more = draft->tokenize(target->token(token_id(t)).text);
      read = read_before;
      read.insert(read.end(), more.begin(), more.end());
      expect_near(expected.second(q, token_id(t), logits()), model.row(t));
    }
  }
}

// Rounds with trees of which some is accepted: before the root's row, the draft has read what its
// own tokenizer makes of the whole text.
TEST(TranslatedModel, ReadsWhatItsOwnTokenizerMakesOfTheText) {
  std::mt19937 random(4);
  for (int trial = 0; trial < 30; ++trial) {
    Strings with_begin = random_vocabulary(random, 15);
    with_begin.push_back("<s>");
    const auto target = texts_of(random_vocabulary(random, 12));
    const auto draft = texts_of(with_begin, {token_id(15)});
    TableModel table({.n_vocab = 16, .seed = random(), .n_context = 2000});
    TranslatedModel model(table, target, draft);
    const SeqId seq = model.open();
    std::vector<TokenId> prompt(1 + random() % 20);
    for (TokenId& t : prompt) t = token_id(random() % 12);
    ASSERT_EQ(model.extend(seq, prompt), PassOutcome::ok);
    std::vector<TokenId> text = prompt;
    for (int round = 0; round < 30; ++round) {
      std::vector<TokenId> path(1 + random() % 4);
      for (std::size_t k = 0; k < path.size(); ++k) {
        path[k] = token_id(random() % 12);
        const PassNode node{seq, k == 0 ? kCommitted : pending_id(k - 1), path[k], true};
        ASSERT_EQ(model.evaluate({&node, 1}), PassOutcome::ok);
      }
      std::vector<PendingId> kept;
      for (std::size_t k = random() % path.size() + 1; k > 0; --k) {
        text.push_back(path[kept.size()]);
        kept.push_back(pending_id(kept.size()));
      }
      model.commit(seq, kept);
      ASSERT_EQ(model.n_committed(seq), text.size());
      if (kept.size() == 1) {
        std::string bytes;
        for (const TokenId t : text) bytes += target->token(t).text;
        std::vector<TokenId> expected = draft->beginning();
        for (const TokenId t : draft->tokenize(bytes)) expected.push_back(t);
        const std::span<const TokenId> read = table.committed(seq);
        ASSERT_EQ(std::vector<TokenId>(read.begin(), read.end()), expected) << bytes;
      }
      if (random() % 6 != 0) continue;
      text.resize(random() % text.size());
      model.truncate(seq, text.size());
    }
  }
}

TEST(TranslatedModel, OfAlikeVocabulariesKeepsIdsAndMasksTheOthers) {
  Strings target_texts(40);
  for (std::size_t i = 0; i < 40; ++i) target_texts[i] = "w" + std::to_string(100 + i);
  Strings draft_texts = target_texts;
  draft_texts[7] = "x";
  draft_texts.push_back("y");
  const auto left = texts_of(target_texts);
  const auto right = texts_of(draft_texts);
  const VocabularyLikeness alike = likeness(*left, *right);
  EXPECT_EQ(alike.n_same_ids, 39U);
  EXPECT_TRUE(alike.is_alike());
  TableModel target({.n_vocab = 40, .seed = 5, .n_context = 100});
  TableModel table({.n_vocab = 41, .seed = 6, .n_context = 100});
  TranslatedModel model(table, left, right);
  const SeqId seq = model.open();
  const PassNode node{seq, kCommitted, token_id(3), true};
  ASSERT_EQ(model.evaluate({&node, 1}), PassOutcome::ok);
  const std::span<const float> row = model.row(0);
  const std::span<const float> own = table.logits(TokenId{-1}, token_id(3));
  ASSERT_EQ(row.size(), 40U);
  for (std::size_t i = 0; i < 40; ++i) {
    if (i == 7) {
      EXPECT_LT(row[i], own[i] - 100.0F);
    } else {
      EXPECT_EQ(row[i], own[i]);
    }
  }
}

TEST(TranslatedModel, GoesOnAfterPassesThatDidNotTakePlace) {
  std::mt19937 random(8);
  const auto target_texts = texts_of(random_vocabulary(random, 12));
  const auto draft_texts = texts_of(random_vocabulary(random, 15));
  TableModel table({.n_vocab = 15, .seed = 2, .n_context = 90});
  TranslatedModel model(table, target_texts, draft_texts);
  const SeqId seq = model.open();
  const std::vector<TokenId> prompt = {token_id(1), token_id(2), token_id(3)};
  table.set_full(true);
  EXPECT_EQ(model.extend(seq, prompt), PassOutcome::no_space);
  EXPECT_EQ(model.n_committed(seq), 0U);
  table.set_full(false);
  ASSERT_EQ(model.extend(seq, prompt), PassOutcome::ok);
  const PassNode root{seq, kCommitted, token_id(4), true};
  table.set_cancelled(true);
  EXPECT_EQ(model.evaluate({&root, 1}), PassOutcome::cancelled);
  table.set_cancelled(false);
  ASSERT_EQ(model.evaluate({&root, 1}), PassOutcome::ok);
  const PassNode node{seq, pending_id(0), token_id(5), true};
  table.set_full(true);
  EXPECT_EQ(model.evaluate({&node, 1}), PassOutcome::no_space);
  table.set_full(false);
  ASSERT_EQ(model.evaluate({&node, 1}), PassOutcome::ok);
  const std::vector<PendingId> path = {pending_id(0), pending_id(1)};
  model.commit(seq, path);
  EXPECT_EQ(model.n_committed(seq), 5U);
  std::string bytes;
  for (const std::size_t t : {1U, 2U, 3U, 4U, 5U}) bytes += target_texts->token(token_id(t)).text;
  std::string read;
  for (const TokenId t : table.committed(seq)) read += draft_texts->token(t).text;
  EXPECT_EQ(read, bytes);
}

TEST(TranslatedModel, RefusesDraftsThatItCannotTranslate) {
  const auto left = texts_of({"a", "b"});
  const auto refuses = [](TableModel& table, const std::shared_ptr<ListTexts>& l,
                          const std::shared_ptr<ListTexts>& r) {
    try {
      (void)make_translated_model(table, l, r);
      return false;
    } catch (const Error& error) {
      return error.code() == ErrorCode::vocabulary_mismatch;
    }
  };
  TableModel table({.n_vocab = 2});
  EXPECT_TRUE(refuses(table, left, texts_of({"c", "d"})));
  EXPECT_FALSE(refuses(table, left, texts_of({"c", "a"})));
  table.become_recurrent(2);
  EXPECT_TRUE(refuses(table, left, texts_of({"c", "a"})));
}

}  // namespace
}  // namespace gumbelspec
