// Counts allocations: in the steady state a round makes none.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "gumbelspec/batch.h"
#include "gumbelspec/session.h"
#include "testing/table_model.h"

namespace {
std::atomic<std::size_t> n_allocations{0};
}  // namespace

void* operator new(std::size_t size) {
  ++n_allocations;
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace gumbelspec {
namespace {

using testing::TableModel;

std::size_t allocations_of_steady_rounds(const char* method, const SamplingOptions& sampling,
                                         Guarantee guarantee = Guarantee::seed) {
  TableModel target({.n_vocab = 64, .n_context = 2000});
  TableModel draft = TableModel::draft_of(target, 0.9F, 3);
  const bool is_alone = std::string_view(method).find("sources") != std::string_view::npos;
  // Time is counted, so that the texts that warm up have passes of all sizes.
  const CostModel costs = {PassCost({{1, 1.0}, {66, 4.0}}, false),
                           PassCost({{1, 0.05}, {64, 0.2}}, false)};
  Session session(target, is_alone ? nullptr : &draft,
                  {.sampling = sampling,
                   .method = parse_method(method),
                   .guarantee = guarantee,
                   .max_tokens = 1000},
                  {.costs = std::make_shared<CostModel>(costs)});
  const std::vector<TokenId> prompt = {TokenId{1}};
  // The first text warms up the in-memory models, whose vectors grow with the text.
  for (const std::uint64_t seed : {1, 2}) {
    Outcome outcome = session.start(prompt, seed);
    while (outcome == Outcome::running) outcome = session.step();
  }
  Outcome outcome = session.start(prompt, 1);
  outcome = session.step();
  const std::size_t before = n_allocations;
  while (outcome == Outcome::running) outcome = session.step();
  EXPECT_EQ(outcome, Outcome::length);
  return n_allocations - before;
}

TEST(Session, DoesNotAllocateInTheSteadyState) {
  SamplingOptions all{.temperature = 0.8F, .top_k = 30, .top_p = 0.9F, .min_p = 0.01F};
  all.repeat_penalty = 1.1F;
  all.logit_bias = {{TokenId{3}, 1.0F}};
  for (const char* method :
       {"ar", "greedy-chain", "gumbel-chain", "gumbel-beam", "gumbel-beam:width=8,length=8",
        "gumbel-beam:width=8,length=8,keep=0", "gumbel-beam:width=8,length=8,nodes=10", "rejection",
        "rejection-tree", "rejection-tree:width=8,length=8,nodes=100", "gumbel-tree",
        "gumbel-tree:nodes=16", "gumbel-tree:sources=suffix+recycled",
        "gumbel-tree:nodes=16,sources=suffix+recycled"}) {
    EXPECT_EQ(allocations_of_steady_rounds(method, {}), 0U) << method;
    EXPECT_EQ(allocations_of_steady_rounds(method, all), 0U) << method << ", all options";
  }
}

TEST(Session, DoesNotAllocateInTheSteadyStateOfTheDistribution) {
  for (const float temperature : {0.0F, 1.0F}) {
    EXPECT_EQ(allocations_of_steady_rounds("gumbel-tree", {.temperature = temperature},
                                           Guarantee::distribution),
              0U);
  }
}

// Goes on until it is told not to; allocates nothing.
class CountingSink final : public TextSink {
 public:
  bool on_round(const BatchRound& /*round*/) override { return true; }
  void on_end(Outcome outcome, const Statistics& /*statistics*/, const Error* error) override {
    EXPECT_EQ(outcome, Outcome::length);
    EXPECT_EQ(error, nullptr);
  }
};

std::size_t allocations_of_batched_rounds(const char* method, int n_logprobs) {
  constexpr std::size_t kTexts = 4;
  TableModel target({.n_vocab = 64, .n_context = 2000});
  TableModel draft = TableModel::draft_of(target, 0.9F, 3);
  const CostModel costs = {PassCost({{1, 1.0}, {66, 4.0}}, false),
                           PassCost({{1, 0.05}, {64, 0.2}}, false)};
  Batch batch(target, &draft, {.costs = std::make_shared<CostModel>(costs)});
  TextOptions options{.method = parse_method(method), .max_tokens = 600, .n_logprobs = n_logprobs};
  options.sampling.temperature = 0.8F;
  options.sampling.top_p = 0.9F;
  const std::vector<TokenId> prompt = {TokenId{1}, TokenId{2}};
  std::size_t steady = 0;
  // The first texts warm up the in-memory models and the slots.
  for (const bool counts : {false, true}) {
    for (std::uint64_t seed = 0; seed < kTexts; ++seed) {
      options.seed = seed;
      options.max_tokens = 600 + 20 * seed;  // the rounds in between have all of them
      batch.add(prompt, options, std::make_unique<CountingSink>());
    }
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(batch.step());
    const std::size_t before = n_allocations;
    for (int i = 0; i < 60; ++i) EXPECT_TRUE(batch.step());
    if (counts) steady = n_allocations - before;
    while (batch.step()) {
    }
  }
  return steady;
}

TEST(Batch, DoesNotAllocateInTheSteadyState) {
  for (const char* method : {"ar", "greedy-chain", "gumbel-chain", "gumbel-beam", "gumbel-tree"}) {
    EXPECT_EQ(allocations_of_batched_rounds(method, -1), 0U) << method;
    EXPECT_EQ(allocations_of_batched_rounds(method, 5), 0U) << method << ", log-probabilities";
  }
}

TEST(AllocationCounter, SeesAnAllocation) {
  const std::size_t before = n_allocations;
  std::vector<int> v(100);
  v[0] = 1;
  EXPECT_EQ(n_allocations - before, static_cast<std::size_t>(v[0]));
}

}  // namespace
}  // namespace gumbelspec
