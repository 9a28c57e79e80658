// A model that knows a trace's texts only.
#ifndef GUMBELSPEC_APPS_BENCH_TRACE_MODEL_H_
#define GUMBELSPEC_APPS_BENCH_TRACE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "apps/bench/trace.h"
#include "gumbelspec/language_model.h"

namespace gumbelspec::apps::bench {

// One side of a trace as a LanguageModel, so that drafters, walks and the planner run on it as they
// are. It follows one recorded text at a time. A node on that text has its recorded row: the tokens
// kept there with their weights, all others forbidden (none of them was the target's choice or
// among the draft's best). A node that has left the text can never be accepted; it has the row of
// another place of the trace, after the same token if there is one, with the mass of the rest
// spread over other tokens, so that what a drafter spends below it is what it usually would.
//
// Not a general model: begin() before a text, no second text at the same time.
class TraceModel final : public LanguageModel {
 public:
  // The trace outlives the model. root_of: the target's side, whose committed text tells a draft
  // that has skipped a part where it is; null for the target itself.
  TraceModel(const Trace& trace, TraceSide side, const TraceModel* root_of);

  // The text that the next sequence's tokens are compared with.
  void begin(const TraceText& text);

  // Passes cost so much; the sum of all since clear_time(). Unknown costs count as 0.
  void set_cost(const PassCost& cost) { cost_ = cost; }
  void clear_time() { seconds_ = 0.0; }
  [[nodiscard]] double seconds() const { return seconds_; }

  [[nodiscard]] const ModelLimits& limits() const override { return limits_; }
  [[nodiscard]] bool is_end(TokenId token) const override;
  SeqId open() override;
  void close(SeqId seq) override;
  [[nodiscard]] std::size_t n_committed(SeqId seq) const override;
  [[nodiscard]] PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override;
  [[nodiscard]] PassOutcome evaluate(std::span<const PassNode> nodes) override;
  [[nodiscard]] std::span<const float> row(std::size_t i) const override;
  void commit(SeqId seq, std::span<const PendingId> path) override;
  void truncate(SeqId seq, std::size_t n) override;

 private:
  struct Pending {
    PendingId parent = kCommitted;
    std::size_t position = 0;  // in the text
    TokenId token{};
    bool is_on_text = false;
    std::uint64_t hash = 0;  // of the way from the text
  };
  // Where a row is.
  struct Place {
    const TraceRow* row = nullptr;
    bool is_on_text = false;
    std::uint64_t hash = 0;
  };
  struct Rows {
    std::vector<const TraceRow*> all;
    std::unordered_map<std::int32_t, std::vector<const TraceRow*>> after;  // this token
  };
  [[nodiscard]] const std::vector<TraceRow>& rows(const TraceText& text) const;
  [[nodiscard]] Place place_of(const Pending& pending) const;
  void fill_other_row(const Place& place, std::span<float> out) const;

  const Trace& trace_;
  TraceSide side_;
  const TraceModel* root_of_;
  ModelLimits limits_;
  PassCost cost_;
  double seconds_ = 0.0;
  std::vector<Rows> other_rows_;  // by temperature
  const TraceText* text_ = nullptr;

  // The one sequence.
  bool is_open_ = false;
  std::size_t n_held_ = 0;     // committed tokens that it holds
  std::size_t n_skipped_ = 0;  // behind the first one
  bool was_cut_ = false;       // so that something may be skipped
  bool is_on_text_ = true;     // all that is committed is
  std::vector<Pending> pending_;

  std::vector<Place> places_;  // of the last pass
  mutable std::vector<std::vector<float>> dense_;
  mutable std::vector<char> is_filled_;
};

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_TRACE_MODEL_H_
