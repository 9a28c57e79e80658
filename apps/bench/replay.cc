#include "apps/bench/replay.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <utility>

#include "apps/bench/hindsight.h"
#include "apps/common/arguments.h"
#include "apps/common/stop_signals.h"
#include "apps/common/utf8_stream.h"
#include "gumbelspec/noise.h"

namespace gumbelspec::apps::bench {
namespace {

bool is_rejection(const Method& method) {
  return method.kind == MethodKind::rejection || method.kind == MethodKind::rejection_tree;
}

// Everything that is known of time is what the curves say.
void model_time(BenchText& text, double target_s, double draft_s) {
  text.statistics.target_s = target_s;
  text.statistics.draft_s = draft_s;
  text.statistics.decode_s = target_s + draft_s;
  text.statistics.prompt_s = 0.0;
  if (text.planner) text.planner->plan_s = 0.0;
}

void limit(const std::string& name, std::size_t most, std::size_t& value) {
  if (value == BenchOptions::kAll) {
    value = most;
  } else if (value > most) {
    throw bad_option(name + " is " + std::to_string(value) + ", but the trace has " +
                     std::to_string(most));
  }
}

void require_temperatures(const std::vector<float>& wanted, const std::vector<float>& recorded) {
  std::string list;
  for (const float t : recorded) {
    list += (list.empty() ? "" : ", ") + formatted("%g", static_cast<double>(t));
  }
  for (const float t : wanted) {
    if (std::find(recorded.begin(), recorded.end(), t) != recorded.end()) continue;
    throw bad_option("temperature " + formatted("%g", static_cast<double>(t)) +
                     " is not in the trace, which has " + list);
  }
}

// For the results; the rows of the trace have all of it already.
void take_settings(const Json& settings, BenchOptions& options) {
  options.sampling.top_k = settings.value("top_k", 0);
  options.sampling.top_p = settings.value("top_p", 1.0F);
  options.sampling.min_p = settings.value("min_p", 0.0F);
  options.sampling.repeat_penalty = settings.value("repeat_penalty", 1.0F);
  options.prompts_file = settings.value("prompts", "openings");
  if (settings.value("attention", "exact") == "fast") options.models.attention = Attention::fast;
}

}  // namespace

ReplaySource::ReplaySource(Trace trace, ReplayCosts costs, std::string file)
    : trace_(std::move(trace)),
      file_(std::move(file)),
      cost_text_(std::move(costs.text)),
      costs_(std::make_shared<CostModel>(std::move(costs.model))),
      target_(trace_, TraceSide::target, nullptr),
      draft_(trace_, TraceSide::draft, &target_) {
  target_.set_cost(costs_->target);
  draft_.set_cost(costs_->draft);
}

int ReplaySource::n_threads() const { return trace_.about["settings"].value("n_threads", 0); }

Json ReplaySource::replay() const {
  return {{"file", file_},
          {"cost", cost_text_},
          {"recorded_by", trace_.about["settings"].value("command", "")}};
}

const TraceText& ReplaySource::text_of(const TextRequest& request) const {
  const std::size_t run = text_run(trace_.seed, request.prompt, request.seed) % trace_.n_runs;
  const auto found =
      std::find_if(trace_.texts.begin(), trace_.texts.end(), [&](const TraceText& text) {
        return text.prompt == request.prompt && text.run == run &&
               trace_.temperatures[text.temperature] == request.temperature;
      });
  if (found == trace_.texts.end()) {
    throw Error(ErrorCode::invalid_option, "the trace " + in_quotes(file_) +
                                               " has no text of run " + std::to_string(run) +
                                               " for prompt " + std::to_string(request.prompt) +
                                               "; record it again with --trace");
  }
  return *found;
}

BenchText ReplaySource::generate(const TextRequest& request) {
  const TraceText& recorded = text_of(request);
  const std::span<const TokenId> prompt = std::span(recorded.tokens).first(recorded.n_prompt);
  const std::span<const TokenId> expected = std::span(recorded.tokens).subspan(recorded.n_prompt);
  TextOptions options;
  options.sampling.temperature = request.temperature;
  options.method = request.method;
  options.seed = recorded.seed;
  options.stream = recorded.stream;
  const bool has_end = !expected.empty() && target_.is_end(expected.back());
  options.max_tokens = has_end ? request.n_tokens : std::min(request.n_tokens, expected.size());
  target_.begin(recorded);
  draft_.begin(recorded);
  if (request.method.kind == MethodKind::block && request.temperature > 0.0F) {
    throw bad_option(
        "method block with --replay, which knows what a chain would have accepted token by token "
        "only; measure it");
  }
  if (is_rejection(request.method) && request.temperature > 0.0F) {
    options.drafter =
        make_hindsight_drafter(draft_.limits(), request.method, recorded, request.temperature);
    options.verifier = make_walk_verifier();
  }
  Session session(target_, &draft_, options,
                  {.costs = costs_,
                   .calibrations = calibrations_of(request.method),
                   .is_cancelled = stop_requested});
  Outcome outcome = session.start(prompt);
  target_.clear_time();
  draft_.clear_time();
  while (outcome == Outcome::running) outcome = session.step();
  if (outcome == Outcome::cancelled) throw Stopped();
  BenchText text;
  text.statistics = session.statistics();
  if (const PlannerReport* report = session.planner_report()) text.planner = *report;
  for (const GeneratedToken& token : session.generated()) text.tokens.push_back(token.token);
  model_time(text, target_.seconds(), draft_.seconds());
  const std::size_t n_expected =
      std::min(options.max_tokens, expected.size() - (has_end ? 1U : 0U));
  if (!std::equal(text.tokens.begin(), text.tokens.end(), expected.begin(),
                  expected.begin() + static_cast<std::ptrdiff_t>(n_expected))) {
    throw Error(ErrorCode::evaluation_failed,
                "the trace " + in_quotes(file_) +
                    " does not give its own text: its seed or its noise is another one; record it "
                    "again with --trace");
  }
  return text;
}

std::unique_ptr<ReplaySource> make_replay_source(BenchOptions& options) {
  Trace trace = read_trace(options.replay_file);
  const int noise = trace.about["versions"].value("noise_version", 0);
  if (noise != kNoiseVersion) {
    throw bad_option("trace " + in_quotes(options.replay_file) + " has noise of version " +
                     std::to_string(noise) + ", but this program's is " +
                     std::to_string(kNoiseVersion) + "; record it again with --trace");
  }
  if (!options.temperatures) options.temperatures = trace.temperatures;
  require_temperatures(*options.temperatures, trace.temperatures);
  limit("--n-prompts", trace.n_prompts, options.n_prompts);
  limit("--runs", trace.n_runs, options.n_runs);
  limit("--predict", trace.n_tokens, options.n_tokens);
  options.n_sweep_tokens = std::min(options.n_sweep_tokens, options.n_tokens);
  options.seed = trace.seed;
  take_settings(trace.about["settings"], options);
  ReplayCosts costs = replay_costs(options.replay_cost, trace);
  return std::make_unique<ReplaySource>(
      std::move(trace), std::move(costs),
      std::filesystem::path(options.replay_file).filename().string());
}

}  // namespace gumbelspec::apps::bench
