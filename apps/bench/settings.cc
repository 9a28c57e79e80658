#include "apps/bench/settings.h"

#include <string>

namespace gumbelspec::apps::bench {
namespace {

// As short as it was given: 0.6, not 0.60000002384.
double short_number(float value) { return std::stod(formatted("%g", static_cast<double>(value))); }

// [nodes, milliseconds] of each measured size, as corrected by the passes seen.
Json curve_json(const PassCost& cost) {
  Json curve = Json::array();
  for (const CostPoint& point : cost.curve()) {
    curve.push_back({point.n, std::stod(formatted("%.5g", 1000.0 * point.seconds))});
  }
  return curve;
}

std::string summary(const BenchOptions& options, const BenchSettings& settings) {
  return std::to_string(settings.n_prompts) + " prompts x " + std::to_string(options.n_tokens) +
         " tokens x " + std::to_string(options.n_runs) + " runs, methods in turns, " +
         std::to_string(settings.n_threads) + " threads, seeds from " +
         std::to_string(options.seed) +
         (settings.n_sweep_prompts > 0
              ? "; shapes found on " + std::to_string(settings.n_sweep_prompts) + " other prompts"
              : "");
}

}  // namespace

Json settings_json(const BenchOptions& options, const BenchSettings& settings) {
  Json temperatures = Json::array();
  for (const float temperature : settings.temperatures) {
    temperatures.push_back(short_number(temperature));
  }
  Json costs;
  if (settings.costs != nullptr) {
    costs = {{"target", curve_json(settings.costs->target)},
             {"draft", curve_json(settings.costs->draft)}};
  }
  const SamplingOptions& s = options.sampling;
  return {{"summary", summary(options, settings)},
          {"command", command_line()},
          {"temperatures", temperatures},
          {"prompts", options.prompts_file.empty() ? "openings" : options.prompts_file},
          {"n_prompts", settings.n_prompts},
          {"n_predict", options.n_tokens},
          {"n_runs", options.n_runs},
          {"seed", options.seed},
          {"guarantee", to_string(options.guarantee)},
          {"seed_rule", "seed + 1000 * run + prompt, both from 0"},
          {"n_threads", settings.n_threads},
          {"attention", options.models.attention == Attention::exact ? "exact" : "fast"},
          {"top_k", s.top_k},
          {"top_p", short_number(s.top_p)},
          {"min_p", short_number(s.min_p)},
          {"repeat_penalty", short_number(s.repeat_penalty)},
          {"pass_ms", costs},
          {"sweep", settings.sweep},
          {"replay", settings.replay}};
}

}  // namespace gumbelspec::apps::bench
