// What the rounds of a text take besides the passes of the models, for every sampling setting that
// people use: choosing, noise, trees, rows of the draft.
//
//   own_bench -m target.gguf -md draft.gguf -n 64 --method gumbel-tree:nodes=16
//
// One line per setting: the median over the rounds, in processor time of the thread that decodes.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "gumbelspec/session.h"
#include "testing/wrapped_model.h"

namespace {

using namespace gumbelspec;

struct Setting {
  const char* name;
  SamplingOptions options;
};

struct Options {
  std::string target, draft;
  std::string method = "gumbel-tree:nodes=16";
  int tokens = 64;
  int threads = 0;  // 0: one per physical core
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "-m") o.target = value;
    if (name == "-md") o.draft = value;
    if (name == "--method") o.method = value;
    if (name == "-n") o.tokens = std::stoi(value);
    if (name == "-t") o.threads = std::stoi(value);
  }
  return o;
}

// Processor time of this thread: what others do on the machine is not counted.
double cpu_s() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Counts what this thread spends in passes.
class CountedModel final : public testing::WrappedModel {
 public:
  explicit CountedModel(LanguageModel& model) : WrappedModel(model) {}
  PassOutcome evaluate(std::span<const PassNode> nodes) override {
    const double begin = cpu_s();
    const PassOutcome outcome = WrappedModel::evaluate(nodes);
    passes_s += cpu_s() - begin;
    n_nodes += nodes.size();
    return outcome;
  }
  double passes_s = 0.0;
  std::size_t n_nodes = 0;
};

double median(std::vector<double>& values) {
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return 1e3 * *middle;
}

void measure(LanguageModel& target_model, LanguageModel& draft_model, const Options& o,
             const Setting& setting) {
  CountedModel target(target_model);
  CountedModel draft(draft_model);
  Session session(target, &draft,
                  {.sampling = setting.options,
                   .method = parse_method(o.method),
                   .max_tokens = static_cast<std::size_t>(o.tokens)});
  const std::vector<TokenId> prompt = {TokenId{1}, TokenId{2}, TokenId{3}};
  std::vector<double> own;
  Outcome outcome = session.start(prompt, 7);
  draft.n_nodes = 0;
  while (outcome == Outcome::running) {
    target.passes_s = draft.passes_s = 0.0;
    const double begin = cpu_s();
    outcome = session.step();
    own.push_back(cpu_s() - begin - target.passes_s - draft.passes_s);
  }
  const auto rounds = static_cast<double>(own.size());
  std::printf("%-22s own %8.3f ms  rows of the draft %5.1f  tokens %5.2f per round\n", setting.name,
              median(own), static_cast<double>(draft.n_nodes) / rounds,
              static_cast<double>(session.generated().size()) / rounds);
  std::fflush(stdout);
}

void run(const Options& o) {
  LlamaModelOptions options;
  options.n_threads = o.threads;
  options.n_context = 1024;
  options.path = o.target;
  const auto target = LlamaModel::load(options);
  options.path = o.draft;
  const auto draft = LlamaModel::load(options);
  for (const Setting& setting : std::vector<Setting>{
           {"temp 1", {}},
           {"top-k 40", {.temperature = 0.7F, .top_k = 40}},
           {"min-p 0.05", {.temperature = 0.7F, .min_p = 0.05F}},
           {"top-k, top-p, min-p",
            {.temperature = 0.7F, .top_k = 40, .top_p = 0.95F, .min_p = 0.05F}},
           {"top-p 0.95", {.temperature = 0.7F, .top_p = 0.95F}},
           {"top-p 0.8, top-k 20", {.temperature = 0.7F, .top_k = 20, .top_p = 0.8F}},
           {"penalties, top-k 40", {.temperature = 0.7F, .top_k = 40, .repeat_penalty = 1.1F}}}) {
    measure(*target, *draft, o, setting);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "own_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
