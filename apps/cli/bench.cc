// gumbelspec bench: all methods side by side, on the same models, prompts and seeds.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/bench_machine.h"
#include "apps/cli/bench_measure.h"
#include "apps/cli/bench_methods.h"
#include "apps/cli/bench_options.h"
#include "apps/cli/bench_output.h"
#include "apps/cli/bench_peer_runs.h"
#include "apps/cli/bench_progress.h"
#include "apps/cli/bench_prompts.h"
#include "apps/cli/bench_report.h"
#include "apps/cli/bench_settings.h"
#include "apps/cli/bench_summary.h"
#include "apps/cli/bench_sweep.h"
#include "apps/cli/commands.h"
#include "apps/cli/method_option.h"
#include "apps/cli/stop_signals.h"
#include "gumbelspec/planner.h"

namespace gumbelspec::cli {
namespace {

constexpr std::size_t kWarmUpTokens = 16;

// What is measured at one temperature.
struct Task {
  float temperature = 1.0F;
  std::vector<Method> methods;
  std::vector<Batch> runs;
};

class BenchRun {
 public:
  explicit BenchRun(const BenchOptions& options);
  int run();

 private:
  void choose_methods();
  void measure_costs_once();
  void probe_methods();
  void keep_possible(std::vector<Method>& methods) const;
  void measure();
  void warm_up();
  void sweep(BenchProgress& progress);
  void start_peers();
  void choose_peers(BenchProgress& progress);
  [[nodiscard]] std::size_t n_texts() const;
  [[nodiscard]] std::span<const std::size_t> peer_prompts() const;
  [[nodiscard]] std::vector<Method> candidates(const Method& method) const;
  [[nodiscard]] bool is_swept(const Method& method) const {
    return options_.sweeps && method.drafts() && is_default_shape(method);
  }
  BenchText generate(const TextRequest& request);
  [[nodiscard]] BenchSettings settings() const;
  [[nodiscard]] std::size_t place_of(float temperature) const;
  [[nodiscard]] BenchReport report() const;

  const BenchOptions& options_;
  ModelOptions model_options_;
  std::vector<std::string> prompt_texts_;
  std::vector<std::vector<TokenId>> prompts_;
  std::vector<std::size_t> sweep_prompts_;   // indices
  std::vector<std::size_t> report_prompts_;  // indices
  Progress line_;
  Models models_;
  std::vector<Method> methods_;
  std::shared_ptr<CostModel> costs_;  // null: nothing is planned
  std::vector<Task> tasks_;
  std::string peer_folder_;  // empty: no peers
  std::unique_ptr<PeerRuns> peers_;
  std::function<void()> on_text_;
  Json machine_;
  Json sweep_json_;
  std::vector<std::string> notes_;
  bool is_complete_ = false;
};

// Everything that can be wrong without the models is found before they are loaded.
BenchRun::BenchRun(const BenchOptions& options)
    : options_(options), model_options_(with_demo_pair(options.models)) {
  const std::vector<float> temperatures =
      options.temperatures.value_or(std::vector<float>{0.0F, 0.6F, 1.0F});
  for (const float temperature : temperatures) {
    SamplingOptions sampling = options.sampling;
    sampling.temperature = temperature;
    validate(sampling);
    tasks_.push_back({temperature, {}, {}});
  }
  for (const Method& method : options.methods) (void)method_for(method, model_options_);
  prompt_texts_ = read_prompts(options.prompts_file);
  if (prompt_texts_.size() > options.n_prompts) prompt_texts_.resize(options.n_prompts);
  if (options.sweeps && prompt_texts_.size() < 2) {
    throw bad_option(
        "--sweep with 1 prompt; give at least 2, one to find shapes and one to report");
  }
  for (std::size_t i = 0; i < prompt_texts_.size(); ++i) {
    (options.sweeps && i % 2 == 0 ? sweep_prompts_ : report_prompts_).push_back(i);
  }
  if (options.peers) peer_folder_ = peer_folder(*options.peers);
  if (!options.out_folder.empty()) prepare_folder(options.out_folder);
}

int BenchRun::run() {
  models_ = load_models(model_options_, /*wants_draft=*/true, line_);
  machine_ = machine_json(model_options_.use_kernels);
  for (const std::string& text : prompt_texts_) prompts_.push_back(models_.target->tokenize(text));
  choose_methods();
  try {
    measure();
    is_complete_ = true;
  } catch (const Stopped&) {
  }
  line_.clear();
  const BenchReport result = report();
  Output out = Output::standard();
  out.write(bench_text(result, options_.format));
  out.close();
  if (!options_.out_folder.empty()) write_folder(options_.out_folder, result);
  if (is_complete_) return 0;
  say("stopped by a signal; what was complete is above");
  return stopped_exit_code();
}

void BenchRun::keep_possible(std::vector<Method>& methods) const {
  std::vector<Method> kept;
  std::vector<std::string> names;
  for (const Method& wanted : methods) {
    const Method method =
        models_.draft == nullptr
            ? wanted
            : possible_method(wanted, models_.target->limits(), models_.draft->limits()).method;
    const std::string name = to_string(method);
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    names.push_back(name);
    kept.push_back(method);
  }
  methods = std::move(kept);
}

void BenchRun::choose_methods() {
  methods_ = options_.methods;
  if (methods_.empty()) {
    for (const std::string_view name : method_names()) {
      if (models_.draft != nullptr || name == "ar") methods_.push_back(parse_method(name));
    }
  }
  for (const Method& method : methods_) (void)possible_method_told(method, models_);
  if (std::none_of(methods_.begin(), methods_.end(), [](const Method& m) { return !m.drafts(); })) {
    methods_.insert(methods_.begin(), parse_method("ar"));
  }
  keep_possible(methods_);
  measure_costs_once();
  probe_methods();
  for (Task& task : tasks_) task.methods = methods_;
}

// What passes cost is the same for all planned trees; a session alone would measure it again.
void BenchRun::measure_costs_once() {
  CostMeasurement measurement;
  measurement.most_nodes = 0;
  for (const Method& method : methods_) {
    if (!method.is_planned()) continue;
    measurement.most_nodes =
        std::max(measurement.most_nodes, static_cast<std::size_t>(method.node_limit()));
  }
  if (measurement.most_nodes == 0 || models_.draft == nullptr) return;
  line_.show("bench: measuring passes");
  measurement.is_cancelled = stop_requested;
  costs_ = std::make_shared<CostModel>(measure_costs(*models_.target, *models_.draft, measurement));
  if (stop_requested()) throw Stopped();
}

// A method that was not asked for by name, and that this build lacks, is left out.
void BenchRun::probe_methods() {
  std::vector<Method> usable;
  for (const Method& method : methods_) {
    try {
      SessionOptions options;
      options.method = method;
      options.costs = costs_;
      const Session session(*models_.target, models_.draft.get(), options);
      usable.push_back(method);
    } catch (const Error& error) {
      if (!options_.methods.empty()) throw;
      notes_.push_back("Left out: " + std::string(error.what()) + ".");
    }
  }
  methods_ = std::move(usable);
}

BenchText BenchRun::generate(const TextRequest& request) {
  if (stop_requested()) throw Stopped();
  SessionOptions options;
  options.sampling = options_.sampling;
  options.sampling.temperature = request.temperature;
  options.method = request.method;
  options.costs = costs_;
  options.seed = request.seed;
  options.max_tokens = request.n_tokens;
  options.is_cancelled = stop_requested;
  Session session(*models_.target, models_.draft.get(), options);
  Outcome outcome = session.start(prompts_[request.prompt]);
  while (outcome == Outcome::running) outcome = session.step();
  if (outcome == Outcome::cancelled) throw Stopped();
  BenchText text;
  text.statistics = session.statistics();
  if (const PlannerReport* report = session.planner_report()) text.planner = *report;
  for (const GeneratedToken& token : session.generated()) text.tokens.push_back(token.token);
  return text;
}

std::vector<Method> BenchRun::candidates(const Method& method) const {
  std::vector<Method> shapes = sweep_shapes(method.kind);
  keep_possible(shapes);
  return shapes;
}

std::size_t BenchRun::n_texts() const {
  std::size_t n_swept = 0;
  for (const Method& method : methods_) {
    if (is_swept(method)) n_swept += n_sweep_texts(candidates(method).size());
  }
  std::size_t n_reported = methods_.size() * report_prompts_.size() * options_.n_runs;
  if (peers_ != nullptr) {
    n_swept += peers_->n_chosen_texts(peer_prompts().size());
    n_reported += peers_->n_measured_texts(report_prompts_.size()) * options_.n_runs;
  }
  return tasks_.size() * (n_swept + n_reported);
}

// The one that the draft length is found on: each text of one program loads the models.
std::span<const std::size_t> BenchRun::peer_prompts() const {
  const std::vector<std::size_t>& prompts = options_.sweeps ? sweep_prompts_ : report_prompts_;
  return std::span(prompts).first(std::min<std::size_t>(prompts.size(), 1));
}

void BenchRun::start_peers() {
  if (peer_folder_.empty()) return;
  PeerOptions peer;
  peer.folder = peer_folder_;
  peer.target = model_options_.target;
  peer.draft = models_.draft == nullptr ? std::string() : model_options_.draft;
  peer.n_context = models_.target->limits().n_context;
  peer.n_threads = models_.target->n_threads();
  peers_ =
      std::make_unique<PeerRuns>(peer, options_.sampling, prompt_texts_, [this] { on_text_(); });
}

void BenchRun::choose_peers(BenchProgress& progress) {
  for (const Task& task : tasks_) {
    progress.begin("bench: draft lengths of llama.cpp's programs");
    peers_->choose({task.temperature, peer_prompts(), 0, options_.seed,
                    std::min(options_.n_sweep_tokens, options_.n_tokens)});
  }
}

void BenchRun::warm_up() {
  line_.show("bench: warming up");
  for (const Method& method : methods_) {
    (void)generate({method, tasks_.front().temperature, 0, options_.seed,
                    std::min(options_.n_tokens, kWarmUpTokens)});
  }
}

void BenchRun::sweep(BenchProgress& progress) {
  sweep_json_ = Json::array();
  const GenerateText text = [this](const TextRequest& request) { return generate(request); };
  for (Task& task : tasks_) {
    for (Method& method : task.methods) {
      if (!is_swept(method)) continue;
      const std::string at = formatted("%g", static_cast<double>(task.temperature));
      progress.begin("bench: shapes of " + method_name(method) + " at temperature " + at);
      const std::vector<Method> shapes = candidates(method);
      const SweepRequest request{shapes, sweep_prompts_, task.temperature, options_.seed,
                                 std::min(options_.n_sweep_tokens, options_.n_tokens)};
      method = shapes[best_shape(request, text, on_text_)];
      sweep_json_.push_back({{"method", method_name(method)},
                             {"temperature", std::stod(at)},
                             {"n_shapes", shapes.size()},
                             {"best", shape_text(method)}});
    }
  }
}

void BenchRun::measure() {
  start_peers();
  warm_up();
  BenchProgress progress(line_, n_texts());
  on_text_ = [&progress] { progress.count(); };
  if (options_.sweeps) sweep(progress);
  if (peers_ != nullptr) choose_peers(progress);
  const GenerateText text = [this](const TextRequest& request) { return generate(request); };
  for (std::size_t run = 0; run < options_.n_runs; ++run) {
    for (Task& task : tasks_) {
      progress.begin("bench: run " + std::to_string(run + 1) + " of " +
                     std::to_string(options_.n_runs));
      task.runs.emplace_back();
      measure_batch(
          {task.methods, report_prompts_, task.temperature, run, options_.seed, options_.n_tokens},
          text, on_text_, task.runs.back());
      if (peers_ == nullptr) continue;
      peers_->measure({task.temperature, report_prompts_, run, options_.seed, options_.n_tokens});
    }
  }
}

BenchSettings BenchRun::settings() const {
  BenchSettings settings;
  for (const Task& task : tasks_) settings.temperatures.push_back(task.temperature);
  settings.n_prompts = report_prompts_.size();
  settings.n_sweep_prompts = sweep_prompts_.size();
  settings.n_threads = models_.target->n_threads();
  settings.costs = costs_.get();
  settings.sweep = sweep_json_;
  return settings;
}

std::size_t BenchRun::place_of(float temperature) const {
  const auto found = std::find_if(tasks_.begin(), tasks_.end(),
                                  [&](const Task& t) { return t.temperature == temperature; });
  return static_cast<std::size_t>(found - tasks_.begin());
}

BenchReport BenchRun::report() const {
  BenchReport report;
  report.machine = machine_;
  report.versions = versions_json();
  report.models = models_json(model_options_, models_);
  report.settings = settings_json(options_, settings());
  report.notes = notes_;
  report.is_complete = is_complete_;
  for (const Task& task : tasks_) {
    const std::vector<BenchRow> rows = summarize(task.methods, task.temperature, task.runs);
    report.rows.insert(report.rows.end(), rows.begin(), rows.end());
  }
  if (peers_ != nullptr) {
    const std::vector<BenchRow> rows = peers_->rows();
    report.rows.insert(report.rows.end(), rows.begin(), rows.end());
    std::stable_sort(report.rows.begin(), report.rows.end(), [&](const auto& a, const auto& b) {
      return place_of(a.temperature) < place_of(b.temperature);
    });
    report.notes.emplace_back(
        "llama-server and llama-speculative-simple are llama.cpp's own programs, of the same "
        "version, at their best draft length of 1, 2 and 4, without our kernels; the same seed "
        "gives other texts there.");
  }
  compare(report.rows);
  return report;
}

}  // namespace

Command add_bench(CLI::App& program) {
  const auto options = std::make_shared<BenchOptions>();
  CLI::App* app =
      program.add_subcommand("bench", "Compare all methods on the same models, prompts and seeds");
  add_bench_options(*app, *options);
  return {app, [options, app] {
            if (!options->temperatures && app->get_option("--temp")->count() > 0) {
              options->temperatures = std::vector<float>{options->sampling.temperature};
            }
            return BenchRun(*options).run();
          }};
}

}  // namespace gumbelspec::cli
