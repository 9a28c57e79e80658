// Batches of the demo pair: every text is that of a session alone, also where its prompt was in the
// cache already. Built twice, with llama.cpp's CPU code and with the kernels.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "gumbelspec/llama_model.h"
#include "tests/engine/batch_fixture.h"
#ifdef GUMBELSPEC_TEST_KERNELS
#include "gumbelspec/kernels.h"
#define BATCH_TEST(name) TEST(BatchOfTheDemoPairWithKernels, name)
#else
#define BATCH_TEST(name) TEST(BatchOfTheDemoPair, name)
#endif

namespace gumbelspec {
namespace {

using testing::add;
using testing::Added;
using testing::Alone;
using testing::Job;
using testing::run_alone;
using testing::Seen;

std::unique_ptr<LlamaModel> load(const char* name, std::size_t n_sequences, bool is_draft) {
#ifdef GUMBELSPEC_TEST_KERNELS
  EXPECT_NE(kernels::register_device(), kernels::Registration::unknown_isa);
#endif
  LlamaModelOptions options{.path = std::string(GUMBELSPEC_MODELS_DIR) + "/" + name};
  options.n_context = 512;
  options.n_sequences = n_sequences;
  options.n_threads = 1;
  if (is_draft) options.attention = Attention::fast;
#ifdef GUMBELSPEC_TEST_KERNELS
  options.order_free_types = kernels::info().types;
#endif
  return LlamaModel::load(options);
}

struct Demo {
  std::unique_ptr<LlamaModel> target;
  std::unique_ptr<LlamaModel> draft;
  explicit Demo(std::size_t n_sequences)
      : target(load("demo-target-q8_0.gguf", n_sequences, false)),
        draft(load("demo-draft-q8_0.gguf", n_sequences, true)) {}
};

std::shared_ptr<CostModel> some_costs() {
  return std::make_shared<CostModel>(CostModel{PassCost({{1, 1.0}, {8, 1.1}, {66, 4.0}}, false),
                                               PassCost({{1, 0.05}, {64, 0.2}}, false)});
}

const char* const kPrompts[] = {
    "The old house stood at the end of the lane, and nobody had lived in it for years.",
    "The old house stood at the end of the lane, and every night a light was seen.",
    "In the year of the great storm the fishermen of the village did not go out to sea.",
    "My dear sister, I have been meaning to write to you since the beginning of the month.",
};

Job make_job(const LlamaModel& model, const std::string& prompt, std::uint64_t seed,
             const char* method, std::size_t max_tokens = 40) {
  Job job{model.tokenize(prompt), {}};
  job.options.method = parse_method(method);
  job.options.seed = seed;
  job.options.max_tokens = max_tokens;
  job.options.sampling.temperature = seed % 3 == 0 ? 0.7F : 1.0F;
  return job;
}

std::size_t n_wrong(Demo& alone, const std::vector<std::pair<Job, Added>>& texts) {
  std::size_t n = 0;
  for (const auto& [job, text] : texts) {
    const Alone expected = run_alone(*alone.target, alone.draft.get(), job, some_costs());
    const std::vector<TokenId>& got = text.seen->tokens;
    bool is_same = got == expected.tokens && text.seen->outcome == expected.outcome;
    if (text.seen->outcome == Outcome::cancelled) {
      is_same = got.size() <= expected.tokens.size() &&
                std::equal(got.begin(), got.end(), expected.tokens.begin());
    }
    n += is_same ? 0U : 1U;
  }
  return n;
}

constexpr const char* kMethods[] = {"gumbel-tree", "ar", "gumbel-tree:nodes=12", "gumbel-beam",
                                    "greedy-chain"};

// Random arrivals, turns that go on from what was said, and cancellations.
std::vector<std::pair<Job, Added>> run_many(Batch& batch, const Demo& demo, std::uint64_t seed,
                                            std::size_t n_texts) {
  std::mt19937_64 random(seed);
  std::vector<std::pair<Job, Added>> texts;
  for (bool goes_on = true; goes_on || texts.size() < n_texts;) {
    for (std::size_t n = texts.size() < n_texts ? random() % 3 : 0; n > 0; --n) {
      Job job = make_job(*demo.target, kPrompts[random() % 4], random() % 100,
                         kMethods[random() % 5], 10 + random() % 40);
      const auto* earlier = texts.empty() ? nullptr : &texts[random() % texts.size()];
      if (random() % 2 == 0 && earlier != nullptr && earlier->second.seen->outcome) {
        job.prompt = earlier->first.prompt;
        const auto& said = earlier->second.seen->tokens;
        job.prompt.insert(job.prompt.end(), said.begin(), said.end());
        const auto more = demo.target->tokenize(" And then");
        job.prompt.insert(job.prompt.end(), more.begin(), more.end());
        if (job.prompt.size() > 400) job.prompt.resize(100);
      }
      texts.emplace_back(job, add(batch, job));
    }
    if (random() % 10 == 0) batch.cancel(texts[random() % texts.size()].second.id);
    goes_on = batch.step();
  }
  return texts;
}

BATCH_TEST(GivesEveryTextTheTokensOfASessionAlone) {
  Demo demo(6);
  Demo alone(1);
  Batch batch(*demo.target, demo.draft.get(),
              {.prompt_tokens_per_round = 16, .costs = some_costs()});
  const auto texts = run_many(batch, demo, 1, 24);
  EXPECT_EQ(n_wrong(alone, texts), 0U);
  EXPECT_GT(batch.statistics().n_prompt_reused, 80U);
  EXPECT_GT(batch.statistics().n_generated, 2 * batch.statistics().n_rounds);
}

BATCH_TEST(ReusesThePromptAndWhatWasGeneratedExactly) {
  Demo demo(2);
  Demo alone(1);
  for (const char* method : {"gumbel-tree", "ar", "gumbel-beam"}) {
    Batch batch(*demo.target, demo.draft.get(), {.costs = some_costs()});
    Job job = make_job(*demo.target, kPrompts[0], 5, method, 40);
    std::vector<std::pair<Job, Added>> turns;
    for (int turn = 0; turn < 3; ++turn) {
      turns.emplace_back(job, add(batch, job));
      while (batch.step()) {
      }
      const Seen& seen = *turns.back().second.seen;
      if (turn > 0) EXPECT_GT(seen.n_reused + 40, job.prompt.size()) << method;
      job.prompt.insert(job.prompt.end(), seen.tokens.begin(), seen.tokens.end());
      const auto more = demo.target->tokenize("\n\nThe next day");
      job.prompt.insert(job.prompt.end(), more.begin(), more.end());
    }
    EXPECT_EQ(n_wrong(alone, turns), 0U) << method;
  }
}

BATCH_TEST(GivesSixteenTextsTheirOwn) {
  Demo demo(16);
  Demo alone(1);
  Batch batch(*demo.target, demo.draft.get(), {.costs = some_costs()});
  std::vector<std::pair<Job, Added>> texts;
  for (std::uint64_t i = 0; i < 16; ++i) {
    const Job job = make_job(*demo.target, kPrompts[i % 4], i, "gumbel-tree", 30);
    texts.emplace_back(job, add(batch, job));
  }
  while (batch.step()) {
  }
  EXPECT_EQ(n_wrong(alone, texts), 0U);
  EXPECT_LT(batch.statistics().n_rounds, 60U);
}

// A slot that was saved, and comes back under another number: the text goes on as if its prompt had
// been read, and only what is new of a prompt is.
BATCH_TEST(SlotsComeBackAsTheyWere) {
  Demo demo(3);
  Demo alone(1);
  SlotState saved;
  Job job = make_job(*demo.target, kPrompts[0], 5, "gumbel-tree");
  {
    Batch batch(*demo.target, demo.draft.get(), {.costs = some_costs()});
    job.options.slot = 2;
    (void)add(batch, job);
    while (batch.step()) {
    }
    saved = batch.save_slot(2);
  }
  ASSERT_GT(saved.tokens.size(), job.prompt.size());
  Batch batch(*demo.target, demo.draft.get(), {.costs = some_costs()});
  // Other texts come and go around it.
  const Added before = add(batch, make_job(*demo.target, kPrompts[2], 6, "gumbel-tree"));
  batch.step();
  batch.restore_slot(1, saved);
  job.options.slot = 1;
  const Added same = add(batch, job);
  while (batch.step()) {
  }
  EXPECT_EQ(same.seen->n_reused, job.prompt.size() - 1);
  Job other = make_job(*demo.target, kPrompts[1], 7, "gumbel-tree");
  batch.restore_slot(0, saved);
  other.options.slot = 0;
  const Added goes_on = add(batch, other);
  while (batch.step()) {
  }
  EXPECT_GT(goes_on.seen->n_reused, 10U);
  EXPECT_EQ(n_wrong(alone, {{job, same}, {other, goes_on}}), 0U);
  // What is not whole is refused, and the slot is empty then.
  SlotState wrong = saved;
  wrong.state.resize(wrong.state.size() / 2);
  EXPECT_THROW(batch.restore_slot(0, wrong), Error);
  wrong = saved;
  wrong.tokens.pop_back();
  EXPECT_THROW(batch.restore_slot(0, wrong), Error);
  EXPECT_EQ(batch.erase_slot(0), 0U);
  const Added anew = add(batch, other);
  while (batch.step()) {
  }
  EXPECT_EQ(n_wrong(alone, {{other, anew}}), 0U);
}

// The negative control: a prefix of which one token is another one gives other texts.
BATCH_TEST(SeesAnotherPrefix) {
  Demo demo(2);
  Demo alone(1);
  Batch batch(*demo.target, demo.draft.get(), {.costs = some_costs()});
  std::vector<std::pair<Job, Added>> texts;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const Job job = make_job(*demo.target, kPrompts[0], seed, "gumbel-tree");
    texts.emplace_back(job, add(batch, job));
    TokenId& token = texts.back().first.prompt[job.prompt.size() - 2];
    token = token_id(index(token) + 1);
  }
  while (batch.step()) {
  }
  EXPECT_GE(n_wrong(alone, texts), 2U);
}

}  // namespace
}  // namespace gumbelspec
