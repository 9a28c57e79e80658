#include "apps/bench/recording.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

#include "apps/bench/live.h"
#include "apps/bench/progress.h"
#include "apps/bench/prompts.h"
#include "apps/bench/record.h"
#include "apps/bench/settings.h"
#include "apps/bench/trace.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::bench {
namespace {

// The largest trees that --sweep tries.
constexpr std::size_t kMostNodes = 64;

// What a replay cannot know: mean mass of the tokens that were left out.
double mean_rest(const Trace& trace) {
  double sum = 0.0;
  double n = 0.0;
  for (const TraceText& text : trace.texts) {
    const float t = trace.temperatures[text.temperature];
    const double temperature = t > 0.0F ? static_cast<double>(t) : 1.0;
    for (const TraceRow& row : text.draft) {
      const double rest = row.n_rest == 0 ? 0.0 : std::exp(static_cast<double>(row.log_rest));
      double kept = 0.0;
      for (const float w : row.weights) kept += std::exp(static_cast<double>(w) / temperature);
      sum += rest / (rest + kept);
      n += 1.0;
    }
  }
  return n > 0.0 ? sum / n : 0.0;
}

void describe(LiveSource& source, const BenchOptions& options, Trace& trace) {
  BenchSettings settings;
  settings.temperatures = trace.temperatures;
  settings.n_prompts = trace.n_prompts;
  settings.n_threads = source.n_threads();
  settings.costs = source.costs().get();
  trace.about = {{"machine", source.machine()},
                 {"versions", source.versions()},
                 {"models", source.models()},
                 {"settings", settings_json(options, settings)}};
  LanguageModel& target = source.target();
  trace.models.limits = {target.limits(), source.draft()->limits()};
  for (std::size_t i = 0; i < target.limits().n_vocab; ++i) {
    if (target.is_end(token_id(i))) trace.models.end_tokens.push_back(token_id(i));
  }
  trace.models.costs = {source.costs()->target.curve(), source.costs()->draft.curve()};
}

// Found out before all the work that it can be written; whole or not there.
class NewFile {
 public:
  explicit NewFile(const std::string& path)
      : path_(path), part_(path + ".part"), file_(Output::file(part_)) {}
  ~NewFile() { (void)std::remove(part_.c_str()); }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(const std::string& bytes) {
    file_.write(bytes);
    file_.close();
    if (std::rename(part_.c_str(), path_.c_str()) == 0) return;
    throw OutputError(in_quotes(path_) + " cannot be written: " +
                          std::generic_category().message(errno) + "; check the path",
                      /*is_broken_pipe=*/false);
  }

 private:
  std::string path_;
  std::string part_;
  Output file_;
};

}  // namespace

int record_trace(const BenchOptions& options) {
  const ModelOptions model_options = with_demo_pair(options.models);
  if (model_options.draft.empty()) {
    throw bad_option("--trace without a draft model; give one with -md");
  }
  Trace trace;
  trace.temperatures = options.temperatures.value_or(std::vector<float>{0.0F, 0.6F, 1.0F});
  for (const float temperature : trace.temperatures) {
    SamplingOptions sampling = options.sampling;
    sampling.temperature = temperature;
    validate(sampling);
  }
  std::vector<std::string> prompts = read_prompts(options.prompts_file);
  prompts.resize(std::min(prompts.size(), options.n_prompts));
  trace.n_prompts = prompts.size();
  trace.n_runs = options.n_runs;
  trace.n_tokens = options.n_tokens;
  trace.seed = options.seed;
  NewFile file(options.trace_file);
  Progress line;
  LiveSource source(options, model_options, prompts, line);
  if (source.draft()->limits().is_head()) {
    throw bad_option(
        "--trace with a draft head, which reads the target's hidden states and says nothing of "
        "texts it only follows; measure it, or record a draft model");
  }
  source.measure_costs_up_to(kMostNodes);
  describe(source, options, trace);
  BenchProgress progress(line, trace.temperatures.size() * trace.n_runs * trace.n_prompts);
  progress.begin("bench: recording");
  record_texts(
      source.target(), *source.draft(), {options.sampling, source.prompts(), options.n_trace_top},
      [&progress] { progress.count(); }, trace);
  line.clear();
  const std::string bytes = trace_bytes(trace);
  file.write(bytes);
  std::size_t n_positions = 0;
  for (const TraceText& text : trace.texts) n_positions += text.target.size();
  Output out = Output::standard();
  out.write("recorded " + std::to_string(trace.texts.size()) + " texts with " +
            std::to_string(n_positions) + " positions in " + visible(options.trace_file) + ", " +
            std::to_string(bytes.size() / 1024) + " KiB; on average " +
            formatted("%.1f %%", 100.0 * mean_rest(trace)) +
            " of the draft's mass is of tokens that were left out\n");
  out.close();
  return 0;
}

}  // namespace gumbelspec::apps::bench
