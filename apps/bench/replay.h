// Texts of a trace, without the models.
#ifndef GUMBELSPEC_APPS_BENCH_REPLAY_H_
#define GUMBELSPEC_APPS_BENCH_REPLAY_H_

#include <cstddef>
#include <memory>
#include <string>

#include "apps/bench/cost.h"
#include "apps/bench/source.h"
#include "apps/bench/trace.h"
#include "apps/bench/trace_model.h"

namespace gumbelspec::apps::bench {

// Every method follows the recorded text; if it does not, the trace belongs to another noise, which
// is an error. Times are modelled: passes as the costs say, everything else takes none.
class ReplaySource final : public BenchSource {
 public:
  // file: its name, for the results.
  ReplaySource(Trace trace, ReplayCosts costs, std::string file);

  [[nodiscard]] LanguageModel& target() override { return target_; }
  [[nodiscard]] LanguageModel* draft() override { return &draft_; }
  void know_costs(std::span<const Method> /*methods*/) override {}
  [[nodiscard]] std::shared_ptr<CostModel> costs() const override { return costs_; }
  // Runs that the trace does not have are those that it has, again.
  [[nodiscard]] BenchText generate(const TextRequest& request) override;
  [[nodiscard]] bool has_clock() const override { return false; }
  [[nodiscard]] int n_threads() const override;
  [[nodiscard]] Json machine() const override { return trace_.about["machine"]; }
  [[nodiscard]] Json versions() const override { return trace_.about["versions"]; }
  [[nodiscard]] Json models() const override { return trace_.about["models"]; }
  [[nodiscard]] Json replay() const override;

 private:
  [[nodiscard]] const TraceText& text_of(const TextRequest& request) const;

  Trace trace_;
  std::string file_;
  std::string cost_text_;
  std::shared_ptr<CostModel> costs_;
  TraceModel target_;
  TraceModel draft_;
};

// Reads the trace of options.replay_file, and puts what it has into the options: temperatures,
// prompts, runs, tokens, seed, sampling. Those given (not kAll) may ask for less.
// Throws: Error{invalid_option, file_not_found}.
[[nodiscard]] std::unique_ptr<ReplaySource> make_replay_source(BenchOptions& options);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_REPLAY_H_
