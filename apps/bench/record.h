// Recording a trace: plain decoding, and the draft reading the same texts.
#ifndef GUMBELSPEC_APPS_BENCH_RECORD_H_
#define GUMBELSPEC_APPS_BENCH_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "apps/bench/trace.h"
#include "gumbelspec/language_model.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec::apps::bench {

struct RecordRequest {
  SamplingOptions sampling;  // the temperatures are those of the trace
  std::span<const std::vector<TokenId>> prompts;
  std::size_t n_top = 64;  // likeliest tokens of a row that are kept
};

// A row of a trace. Kept are the likeliest tokens; those with the best scores under the noise, so
// that drafters find the same ones as in the whole row; and the token that the target chose. The
// best token by score stays the best one when the weights are rounded.
class RowRecorder {
 public:
  // n_vocab: of the model; n_known: tokens that both models know.
  RowRecorder(const SamplingOptions& sampling, std::size_t n_vocab, std::size_t n_known,
              std::size_t n_top);
  // noise: empty at temperature 0. chosen: the target's choice; none: this row is the target's, and
  // the best token by score is the choice.
  [[nodiscard]] TraceRow record(std::span<const float> logits, const TextView& text,
                                std::span<const float> noise, const TokenId* chosen);
  // The best token by score of the last row.
  [[nodiscard]] TokenId best() const { return best_; }

 private:
  void keep(std::span<const float> weights, const TokenId* chosen);
  void keep_best_stay(TraceRow& row, std::span<const float> noise);

  LogWeights at_one_;   // the weights of the trace
  LogWeights weights_;  // the session's
  LogWeights rounded_;  // the replay's
  std::size_t n_known_;
  std::size_t n_top_;
  float temperature_;
  TokenId best_{};
  std::vector<Candidate> candidates_;
  std::vector<std::size_t> order_;
  std::vector<char> is_kept_;
  std::vector<float> dense_;
};

// Appends the texts to trace.texts: for each run and temperature all prompts. trace has everything
// else already; of it are read: models.limits, models.end_tokens, temperatures, n_runs, n_tokens,
// seed. Requires: room for a sequence in each model. Throws: Error; Stopped.
void record_texts(LanguageModel& target, LanguageModel& draft, const RecordRequest& request,
                  const std::function<void()>& on_text, Trace& trace);

// Logits of a row for a pass of the replay: tokens that are not in the row are forbidden.
// Shape: [n_vocab].
void fill_exact_row(const TraceRow& row, std::span<float> out);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_RECORD_H_
