// What the tests of batches share: jobs, what becomes of them, and the same text by a session.
#ifndef GUMBELSPEC_TESTS_ENGINE_BATCH_FIXTURE_H_
#define GUMBELSPEC_TESTS_ENGINE_BATCH_FIXTURE_H_

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gumbelspec/batch.h"
#include "gumbelspec/session.h"

namespace gumbelspec::testing {

struct Job {
  std::vector<TokenId> prompt;
  TextOptions options;
};

// What a sink saw.
struct Seen {
  std::vector<TokenId> tokens;
  std::vector<TokenLogprob> logprobs;
  std::vector<TokenLogprob> top_logprobs;
  std::optional<Outcome> outcome;
  std::optional<Error> error;
  Statistics statistics;
  std::size_t n_rounds = 0;
  std::size_t n_prompt_done = 0;
  std::size_t n_reused = 0;
  std::size_t stop_at = static_cast<std::size_t>(-1);  // tokens that are enough
  std::function<void()> on_round;
};

class RecordingSink final : public TextSink {
 public:
  explicit RecordingSink(std::shared_ptr<Seen> seen) : seen_(std::move(seen)) {}
  void on_prompt(std::size_t n_done, std::size_t /*n_total*/, std::size_t n_reused) override {
    seen_->n_prompt_done = n_done;
    seen_->n_reused = n_reused;
  }
  bool on_round(const BatchRound& round) override {
    for (const GeneratedToken& t : round.tokens) seen_->tokens.push_back(t.token);
    const auto append = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(seen_->logprobs, round.logprobs);
    append(seen_->top_logprobs, round.top_logprobs);
    ++seen_->n_rounds;
    if (seen_->on_round) seen_->on_round();
    return seen_->tokens.size() < seen_->stop_at;
  }
  void on_end(Outcome outcome, const Statistics& statistics, const Error* error) override {
    seen_->outcome = outcome;
    seen_->statistics = statistics;
    if (error != nullptr) seen_->error = *error;
  }

 private:
  std::shared_ptr<Seen> seen_;
};

struct Added {
  TextId id{};
  std::shared_ptr<Seen> seen = std::make_shared<Seen>();
};

inline Added add(Batch& batch, const Job& job, std::shared_ptr<Seen> seen = nullptr) {
  Added added;
  if (seen) added.seen = std::move(seen);
  added.id = batch.add(job.prompt, job.options, std::make_unique<RecordingSink>(added.seen));
  return added;
}

struct Alone {
  std::vector<TokenId> tokens;
  Outcome outcome = Outcome::running;
};

inline Alone run_alone(LanguageModel& target, LanguageModel* draft, const Job& job,
                       const std::shared_ptr<CostModel>& costs) {
  Session session(target, draft,
                  {.sampling = job.options.sampling,
                   .method = job.options.method,
                   .max_tokens = job.options.max_tokens},
                  {.costs = costs});
  Alone alone;
  alone.outcome = session.start(job.prompt, job.options.seed, job.options.stream);
  while (alone.outcome == Outcome::running) alone.outcome = session.step();
  for (const GeneratedToken& t : session.generated()) alone.tokens.push_back(t.token);
  return alone;
}

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_ENGINE_BATCH_FIXTURE_H_
