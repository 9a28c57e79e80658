// What a model of the tests says where the likeliest token always comes.
#ifndef GUMBELSPEC_TESTS_SCALE_GREEDY_H_
#define GUMBELSPEC_TESTS_SCALE_GREEDY_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {

// The likeliest tokens one after the other, with the logits that they were taken from.
// Shape: text [n], logits [n][n_vocab].
struct Greedy {
  std::vector<TokenId> text;
  std::vector<Logits> logits;
};

inline Greedy greedy_text(LlamaModel& model, std::size_t n) {
  const SeqId seq = model.open();
  const std::vector<TokenId> prompt = model.tokenize("The old house stood on the hill, and");
  EXPECT_EQ(model.extend(seq, std::span(prompt).first(prompt.size() - 1)), PassOutcome::ok);
  Greedy greedy;
  TokenId last = prompt.back();
  for (std::size_t i = 0; i < n; ++i) {
    const PassNode node{seq, kCommitted, last, true};
    EXPECT_EQ(model.evaluate(std::span(&node, 1)), PassOutcome::ok);
    const auto row = model.row(0);
    greedy.logits.emplace_back(row.begin(), row.end());
    last = static_cast<TokenId>(std::max_element(row.begin(), row.end()) - row.begin());
    greedy.text.push_back(last);
    const PendingId path_of_one = pending_id(0);
    model.commit(seq, std::span(&path_of_one, 1));
  }
  return greedy;
}

inline Greedy greedy_text(const std::string& path, std::size_t n) {
  return greedy_text(*LlamaModel::load({.path = path, .n_threads = 1}), n);
}

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_SCALE_GREEDY_H_
