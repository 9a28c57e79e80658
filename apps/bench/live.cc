#include "apps/bench/live.h"

#include <algorithm>

#include "apps/bench/machine.h"
#include "apps/common/sampling_options.h"
#include "apps/common/stop_signals.h"

namespace gumbelspec::apps::bench {

LiveSource::LiveSource(const BenchOptions& options, const ModelOptions& model_options,
                       const std::vector<std::string>& prompts, Progress& line)
    : options_(options), model_options_(model_options), line_(line) {
  models_ = load_models(model_options_, /*wants_draft=*/true, line_);
  sampling_ = options_.sampling;
  take_dry_breakers(options_.dry_breakers, *models_.target, sampling_);
  machine_ = machine_json(model_options_.use_kernels);
  for (const std::string& text : prompts) prompts_.push_back(models_.target->tokenize(text));
}

Json LiveSource::versions() const { return versions_json(); }
Json LiveSource::models() const { return models_json(model_options_, models_); }

// What passes cost is the same for all planned trees; a session alone would measure it again.
void LiveSource::know_costs(std::span<const Method> methods) {
  std::size_t most_nodes = 0;
  for (const Method& method : methods) {
    if (!method.is_planned()) continue;
    most_nodes = std::max(most_nodes, static_cast<std::size_t>(method.node_limit()));
  }
  if (most_nodes > 0) measure_costs_up_to(most_nodes);
}

void LiveSource::measure_costs_up_to(std::size_t most_nodes) {
  if (costs_ != nullptr) return;
  line_.show("bench: measuring passes");
  CostMeasurement measurement;
  measurement.most_nodes = most_nodes;
  measurement.is_cancelled = stop_requested;
  costs_ = std::make_shared<CostModel>(
      models_.draft == nullptr ? measure_costs(*models_.target, measurement)
                               : measure_costs(*models_.target, *models_.drafting(), measurement));
  if (stop_requested()) throw Stopped();
}

BenchText LiveSource::generate(const TextRequest& request) {
  if (stop_requested()) throw Stopped();
  TextOptions options;
  options.sampling = sampling_;
  options.sampling.temperature = request.temperature;
  options.method = request.method;
  options.guarantee = options_.guarantee;
  options.seed = request.seed;
  options.max_tokens = request.n_tokens;
  Session session(*models_.target, models_.drafting(), options,
                  {.costs = costs_,
                   .calibrations = calibrations_of(request.method),
                   .is_cancelled = stop_requested});
  Outcome outcome = session.start(prompts_[request.prompt]);
  while (outcome == Outcome::running) outcome = session.step();
  if (outcome == Outcome::cancelled) throw Stopped();
  BenchText text;
  text.statistics = session.statistics();
  if (const PlannerReport* report = session.planner_report()) text.planner = *report;
  for (const GeneratedToken& token : session.generated()) text.tokens.push_back(token.token);
  return text;
}

}  // namespace gumbelspec::apps::bench
