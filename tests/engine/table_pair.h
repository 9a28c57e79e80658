// The in-memory pair that tests of batches work over.
#ifndef GUMBELSPEC_TESTS_ENGINE_TABLE_PAIR_H_
#define GUMBELSPEC_TESTS_ENGINE_TABLE_PAIR_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "gumbelspec/batch.h"
#include "gumbelspec/costs.h"
#include "testing/table_model.h"
#include "tests/engine/batch_fixture.h"

namespace gumbelspec::testing {

inline constexpr std::size_t kVocab = 40;

inline std::shared_ptr<CostModel> counted_costs() {
  return std::make_shared<CostModel>(CostModel{PassCost({{1, 1.0}, {8, 1.1}, {66, 4.0}}, false),
                                               PassCost({{1, 0.05}, {64, 0.2}}, false)});
}

inline std::vector<TokenId> random_prompt(std::mt19937_64& random, std::size_t n) {
  std::vector<TokenId> prompt(n);
  for (TokenId& t : prompt) t = token_id(random() % kVocab);
  return prompt;
}

// A batch over them.
struct TablePair {
  TableModel target;
  TableModel draft;
  std::shared_ptr<CostModel> costs = counted_costs();

  explicit TablePair(std::size_t n_sequences = 64, std::size_t n_context = 120)
      : target({.n_vocab = kVocab, .seed = 3, .n_context = n_context}),
        draft(TableModel::draft_of(target, 0.9F, 9)) {
    target.mutable_limits().n_sequences = n_sequences;
  }
  Job job(std::size_t n_prompt, std::uint64_t seed, const char* method = "gumbel-tree",
          std::size_t max_tokens = 40) const {
    std::mt19937_64 random(seed);
    Job job{random_prompt(random, n_prompt), {}};
    job.options.method = parse_method(method);
    job.options.seed = seed;
    job.options.max_tokens = max_tokens;
    return job;
  }
  void expect_alone(const Job& job, const Seen& seen) {
    TableModel other_target = target;
    TableModel other_draft = draft;
    const Alone alone = run_alone(other_target, &other_draft, job, costs);
    EXPECT_EQ(seen.tokens, alone.tokens);
    EXPECT_EQ(seen.outcome, alone.outcome);
  }
};

inline void finish(Batch& batch) {
  while (batch.step()) {
  }
}

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_ENGINE_TABLE_PAIR_H_
