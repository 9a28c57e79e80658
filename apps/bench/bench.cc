#include "apps/bench/bench.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/bench/live.h"
#include "apps/bench/measure.h"
#include "apps/bench/methods.h"
#include "apps/bench/options.h"
#include "apps/bench/output.h"
#include "apps/bench/peer_runs.h"
#include "apps/bench/progress.h"
#include "apps/bench/prompts.h"
#include "apps/bench/recording.h"
#include "apps/bench/replay.h"
#include "apps/bench/report.h"
#include "apps/bench/settings.h"
#include "apps/bench/summary.h"
#include "apps/bench/sweep.h"
#include "apps/common/method_option.h"
#include "apps/common/stop_signals.h"
#include "gumbelspec/costs.h"

namespace gumbelspec::apps::bench {
namespace {

constexpr std::size_t kWarmUpTokens = 16;
constexpr const char* kReplayNote =
    "Replayed: every method follows the recorded texts, rejection methods by drawing which "
    "candidates they had, given the text (docs/bench.md); own ms is not modelled.";

// What is measured at one temperature.
struct Task {
  float temperature = 1.0F;
  std::vector<Method> methods;
  std::vector<RunTexts> runs;
};

class BenchRun {
 public:
  explicit BenchRun(const BenchOptions& options);
  int run();

 private:
  void choose_methods();
  void check_live_options();
  void load();
  void probe_methods();
  void keep_possible(std::vector<Method>& methods) const;
  void measure();
  void warm_up();
  void sweep(BenchProgress& progress);
  void start_peers();
  void choose_peers(BenchProgress& progress);
  [[nodiscard]] std::size_t n_texts() const;
  // Texts of a replay are cheap, and more of them choose better.
  [[nodiscard]] std::size_t n_first_texts() const {
    return source_->has_clock() ? 1 : sweep_prompts_.size();
  }
  [[nodiscard]] std::span<const std::size_t> peer_prompts() const;
  [[nodiscard]] std::vector<Method> candidates(const Method& method) const;
  [[nodiscard]] bool is_swept(const Method& method) const {
    return options_.sweeps && method.drafts() && is_default_shape(method);
  }
  [[nodiscard]] BenchSettings settings() const;
  [[nodiscard]] std::size_t place_of(float temperature) const;
  [[nodiscard]] BenchReport report() const;

  BenchOptions options_;
  ModelOptions model_options_;               // without a replay
  std::vector<std::string> prompt_texts_;    // without a replay
  std::vector<std::size_t> sweep_prompts_;   // indices
  std::vector<std::size_t> report_prompts_;  // indices
  Progress line_;
  std::unique_ptr<BenchSource> source_;
  LiveSource* live_ = nullptr;  // the source, unless it is a replay
  std::vector<Method> methods_;
  std::vector<Task> tasks_;
  std::string peer_folder_;  // empty: no peers
  std::unique_ptr<PeerRuns> peers_;
  std::function<void()> on_text_;
  Json sweep_json_;
  std::vector<std::string> notes_;
  bool is_complete_ = false;
};

// Everything that can be wrong without the models is found before they are loaded.
BenchRun::BenchRun(const BenchOptions& options) : options_(options) {
  if (!options_.replay_file.empty()) {
    source_ = make_replay_source(options_);
  } else {
    check_live_options();
  }
  const std::vector<float> temperatures =
      options_.temperatures.value_or(std::vector<float>{0.0F, 0.6F, 1.0F});
  for (const float temperature : temperatures) {
    SamplingOptions sampling = options_.sampling;
    sampling.temperature = temperature;
    validate(sampling);
    tasks_.push_back({temperature, {}, {}});
  }
  if (options_.sweeps && options_.n_prompts < 2) {
    throw bad_option(
        "--sweep with 1 prompt; give at least 2, one to find shapes and one to report");
  }
  for (std::size_t i = 0; i < options_.n_prompts; ++i) {
    (options_.sweeps && i % 2 == 0 ? sweep_prompts_ : report_prompts_).push_back(i);
  }
  if (!options_.out_folder.empty()) prepare_folder(options_.out_folder);
}

void BenchRun::check_live_options() {
  model_options_ = with_demo_pair(options_.models);
  for (const Method& method : options_.methods) check_has_draft(method, model_options_);
  prompt_texts_ = read_prompts(options_.prompts_file);
  options_.n_prompts = std::min(options_.n_prompts, prompt_texts_.size());
  prompt_texts_.resize(options_.n_prompts);
  if (options_.peers) peer_folder_ = peer_folder(*options_.peers);
}

void BenchRun::load() {
  if (source_ != nullptr) return;
  auto live = std::make_unique<LiveSource>(options_, model_options_, prompt_texts_, line_);
  live_ = live.get();
  source_ = std::move(live);
}

int BenchRun::run() {
  load();
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
        source_->draft() == nullptr
            ? wanted
            : possible_method(wanted, source_->target().limits(), source_->draft()->limits())
                  .method;
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
      const Method method = parse_method(name);
      const bool drafts_alone = method.kind == MethodKind::gumbel_tree;
      // What a block accepts depends on tokens that no trace has.
      if (method.kind == MethodKind::block && live_ == nullptr) continue;
      if (source_->draft() != nullptr || !method.drafts() || drafts_alone) {
        methods_.push_back(method);
      }
    }
  }
  if (live_ != nullptr) {
    for (const Method& method : methods_) (void)possible_method_told(method, live_->loaded());
    const PassGuarantee guarantee = live_->loaded().target->guarantee();
    if (!guarantee.holds) {
      notes_.push_back("The text of a seed may depend on the method: " + guarantee.reason() + ".");
    }
  }
  if (std::none_of(methods_.begin(), methods_.end(), [](const Method& m) { return !m.drafts(); })) {
    methods_.insert(methods_.begin(), parse_method("ar"));
  }
  keep_possible(methods_);
  source_->know_costs(methods_);
  probe_methods();
  for (Task& task : tasks_) task.methods = methods_;
}

// A method that was not asked for by name, and that this build lacks, is left out.
void BenchRun::probe_methods() {
  std::vector<Method> usable;
  for (const Method& method : methods_) {
    try {
      const Session session(source_->target(), source_->draft(), {.method = method},
                            {.costs = source_->costs()});
      usable.push_back(method);
    } catch (const Error& error) {
      if (!options_.methods.empty()) throw;
      notes_.push_back("Left out: " + std::string(error.what()) + ".");
    }
  }
  methods_ = std::move(usable);
}

std::vector<Method> BenchRun::candidates(const Method& method) const {
  std::vector<Method> shapes = sweep_shapes(method.kind, !source_->has_clock());
  keep_possible(shapes);
  return shapes;
}

std::size_t BenchRun::n_texts() const {
  std::size_t n_swept = 0;
  for (const Method& method : methods_) {
    if (is_swept(method)) n_swept += n_sweep_texts(candidates(method).size(), n_first_texts());
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
  peer.draft = source_->draft() == nullptr ? std::string() : model_options_.draft;
  peer.n_context = source_->target().limits().n_context;
  peer.n_threads = source_->n_threads();
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
  if (!source_->has_clock()) return;
  line_.show("bench: warming up");
  for (const Method& method : methods_) {
    (void)source_->generate({method, tasks_.front().temperature, 0, options_.seed,
                             std::min(options_.n_tokens, kWarmUpTokens)});
  }
}

void BenchRun::sweep(BenchProgress& progress) {
  sweep_json_ = Json::array();
  const GenerateText text = [this](const TextRequest& request) {
    return source_->generate(request);
  };
  for (Task& task : tasks_) {
    for (Method& method : task.methods) {
      if (!is_swept(method)) continue;
      const std::string at = formatted("%g", static_cast<double>(task.temperature));
      progress.begin("bench: shapes of " + method_name(method) + " at temperature " + at);
      const std::vector<Method> shapes = candidates(method);
      const SweepRequest request{shapes,
                                 sweep_prompts_,
                                 task.temperature,
                                 options_.seed,
                                 std::min(options_.n_sweep_tokens, options_.n_tokens),
                                 n_first_texts()};
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
  const GenerateText text = [this](const TextRequest& request) {
    return source_->generate(request);
  };
  for (std::size_t run = 0; run < options_.n_runs; ++run) {
    for (Task& task : tasks_) {
      progress.begin("bench: run " + std::to_string(run + 1) + " of " +
                     std::to_string(options_.n_runs));
      task.runs.emplace_back();
      measure_run(
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
  settings.n_threads = source_->n_threads();
  settings.costs = source_->costs().get();
  settings.sweep = sweep_json_;
  settings.replay = source_->replay();
  return settings;
}

std::size_t BenchRun::place_of(float temperature) const {
  const auto found = std::find_if(tasks_.begin(), tasks_.end(),
                                  [&](const Task& t) { return t.temperature == temperature; });
  return static_cast<std::size_t>(found - tasks_.begin());
}

BenchReport BenchRun::report() const {
  BenchReport report;
  report.machine = source_->machine();
  report.versions = source_->versions();
  report.models = source_->models();
  report.settings = settings_json(options_, settings());
  report.notes = notes_;
  report.is_complete = is_complete_;
  for (const Task& task : tasks_) {
    const std::vector<BenchRow> rows =
        summarize(task.methods, task.temperature, task.runs, options_.guarantee);
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
  if (!source_->has_clock()) {
    for (BenchRow& row : report.rows) row.is_replayed = true;
    report.notes.emplace_back(kReplayNote);
  }
  compare(report.rows);
  return report;
}

}  // namespace

Command add_bench(Arguments& program) {
  const auto options = std::make_shared<BenchOptions>();
  Arguments& arguments =
      program.add_command("bench", "Compare all methods on the same models, prompts and seeds");
  add_bench_options(arguments, *options);
  return {&arguments, [options, &arguments] {
            finish_bench_options(arguments, *options);
            if (!options->trace_file.empty()) return record_trace(*options);
            return BenchRun(*options).run();
          }};
}

}  // namespace gumbelspec::apps::bench
