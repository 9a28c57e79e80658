// Whether several chains that repeat the prefix pay on a model with recurrent layers, where a tree
// cannot be verified: w sequences of the same text in one pass, a chain of l drafted tokens each.
//
//   branches_bench [-m hybrid.gguf [-md hybrid-draft.gguf]] [--target t.gguf --draft d.gguf]
//                  [-w 3] [-l 5] [-s 5] [-c 256] [-r 9] [-t 1] [--texts 24] [-n 128]
//
// -m, -md: whose passes are timed (without -md the draft is free). --target, --draft: a pair that
// agrees, with attention, whose texts say how many tokens a pass brings: its trees are cut to w
// branches, so chains may part anywhere, not only at the root. -s: snapshots, at least -l; 0:
// copies. Times are processor time, of all threads. What is left out favours several chains: that
// the text's state has to be copied to the other sequences behind a round, and that owed tokens are
// read by each of them.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gumbelspec/kernels.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/session.h"
#include "src/engine/tree_drafter.h"

namespace {

using namespace gumbelspec;

struct Options {
  std::string model, model_draft, target, draft;
  std::string prompts = "bench/prompts/openings.jsonl";
  std::size_t width = 3, length = 5, snapshots = 5, cached = 256, runs = 9, texts = 24,
              tokens = 128;
  int threads = 1;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    const auto number = static_cast<std::size_t>(std::atoi(value.c_str()));
    if (name == "-m") o.model = value;
    if (name == "-md") o.model_draft = value;
    if (name == "--target") o.target = value;
    if (name == "--draft") o.draft = value;
    if (name == "--prompts") o.prompts = value;
    if (name == "-w") o.width = number;
    if (name == "-l") o.length = number;
    if (name == "-s") o.snapshots = number;
    if (name == "-c") o.cached = number;
    if (name == "-r") o.runs = number;
    if (name == "-t") o.threads = static_cast<int>(number);
    if (name == "--texts") o.texts = number;
    if (name == "-n") o.tokens = number;
  }
  return o;
}

// Processor time of all threads: what others do on the machine is not counted.
double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

std::unique_ptr<LlamaModel> load(const Options& o, const std::string& path, std::size_t width) {
  LlamaModelOptions options;
  options.path = path;
  options.n_threads = o.threads;
  options.n_context = 1024;
  options.n_sequences = width;
  options.n_snapshots = o.snapshots;
  options.order_free_types = kernels::info().types;
  return LlamaModel::load(options);
}

// A model that holds w states, and the time of its passes over w chains.
class Chains {
 public:
  Chains(const Options& o, const std::string& path, std::size_t width)
      : model_(load(o, path, width)), ms_(o.length + 1) {
    for (std::size_t i = 0; i < width; ++i) sequences_.push_back(model_->open());
    for (std::size_t i = 0; i < o.cached; ++i) text_.push_back(token(i));
    read_text();
  }

  // The root and n drafted tokens in each sequence, all of which stay.
  void pass(std::size_t n, bool counts) {
    std::vector<PassNode> nodes;
    std::vector<PendingId> path;
    for (const SeqId seq : sequences_) {
      for (std::size_t i = 0; i <= n; ++i) {
        nodes.push_back({seq, i == 0 ? kCommitted : pending_id(i - 1),
                         token(model_->n_committed(seq) + i), true});
      }
    }
    for (std::size_t i = 0; i <= n; ++i) path.push_back(pending_id(i));
    const double start = cpu_ms();
    if (model_->evaluate(nodes) != PassOutcome::ok) std::exit(1);
    for (const SeqId seq : sequences_) model_->commit(seq, path);
    if (counts) ms_[n].push_back(cpu_ms() - start);
    if (model_->n_committed(sequences_[0]) + 64 > model_->limits().n_context) read_text();
  }
  [[nodiscard]] double ms(std::size_t n) const { return median(ms_[n]); }
  [[nodiscard]] double state_mib() const {
    return static_cast<double>(model_->rollback().state_bytes) / 1048576.0;
  }

 private:
  void read_text() {
    for (const SeqId seq : sequences_) {
      model_->truncate(seq, 0);
      if (model_->extend(seq, text_) != PassOutcome::ok) std::exit(1);
    }
  }
  [[nodiscard]] TokenId token(std::size_t i) const {
    return token_id(5 + i * 37 % (model_->limits().n_vocab - 5));
  }
  std::unique_ptr<LlamaModel> model_;
  std::vector<SeqId> sequences_;
  std::vector<TokenId> text_;
  std::vector<std::vector<double>> ms_;
};

// costs[w - 1][l]: milliseconds of a pass over w chains of l drafted tokens and their roots.
using Costs = std::vector<std::vector<double>>;

Costs measure(const Options& o, const std::string& path, const char* name) {
  Costs costs(o.width, std::vector<double>(o.length + 1, 0.0));
  if (path.empty()) return costs;
  std::vector<std::unique_ptr<Chains>> all;
  for (std::size_t w = 1; w <= o.width; ++w) all.push_back(std::make_unique<Chains>(o, path, w));
  for (std::size_t r = 0; r <= o.runs; ++r) {
    for (std::size_t l = 0; l <= o.length; ++l) {
      for (const auto& chains : all) {
        chains->pass(l, false);  // another size's graph is set up anew
        chains->pass(l, r > 0);
      }
    }
  }
  std::printf("%s: state of one text %.1f MiB. Pass in ms, by drafted tokens of each chain:\n",
              name, all[0]->state_mib());
  for (std::size_t w = 1; w <= o.width; ++w) {
    std::printf("  %zu chains ", w);
    for (std::size_t l = 0; l <= o.length; ++l) {
      costs[w - 1][l] = all[w - 1]->ms(l);
      std::printf(" %8.2f", costs[w - 1][l]);
    }
    std::printf("\n");
  }
  return costs;
}

// The tree of a model, cut to the w branches of the largest sums of values.
class BestBranches final : public Drafter {
 public:
  BestBranches(std::unique_ptr<Drafter> tree, std::size_t n) : tree_(std::move(tree)), n_(n) {}
  void begin_text(std::span<const TokenId> prompt) override { tree_->begin_text(prompt); }
  void begin(DraftRound& round) override { tree_->begin(round); }
  PassOutcome append(DraftRound& round, const DraftRoom& room,
                     std::vector<PassNode>& pass) override {
    return tree_->append(round, room, pass);
  }
  void take(DraftRound& round) override { tree_->take(round); }
  void finish(DraftRound& round) override;

 private:
  std::unique_ptr<Drafter> tree_;
  std::size_t n_;
};

void BestBranches::finish(DraftRound& round) {
  Proposals& proposals = *round.proposals;
  std::vector<char> is_kept(proposals.size(), 0);
  is_kept[0] = 1;
  std::vector<std::size_t> ends;
  for (std::size_t branch = 0; branch < n_; ++branch) {
    // What a way down adds to those that are kept already.
    double best = 0.0;
    std::size_t end = 0;
    for (const std::size_t node : proposals.nodes()) {
      double sum = 0.0;
      for (std::size_t i = node; is_kept[i] == 0; i = proposals[i].parent) {
        sum += proposals[i].value;
      }
      if (sum > best) end = node, best = sum;
    }
    if (end == 0) break;
    ends.push_back(end);
    for (std::size_t i = end; is_kept[i] == 0; i = proposals[i].parent) is_kept[i] = 1;
  }
  proposals.keep_paths_to(ends);
}

std::vector<std::string> read_prompts(const Options& o) {
  std::ifstream file(o.prompts);
  std::vector<std::string> prompts;
  for (std::string line; prompts.size() < o.texts && std::getline(file, line);) {
    const std::size_t begin = line.find(": \"") + 3;
    prompts.push_back(line.substr(begin, line.rfind('"') - begin));
  }
  return prompts;
}

// Tokens per pass of w branches of at most l drafted tokens.
double tokens_per_pass(LlamaModel& target, LlamaModel& draft, const Options& o, float temperature,
                       std::size_t w, std::size_t l) {
  TextOptions options{.sampling = {.temperature = temperature}, .max_tokens = o.tokens};
  // Of several branches the draft looks at more nodes than it keeps.
  options.method = parse_method(w == 1 ? "gumbel-chain:length=" + std::to_string(l)
                                       : "gumbel-tree:nodes=64,width=" + std::to_string(4 * w) +
                                             ",length=" + std::to_string(l));
  std::size_t n_tokens = 0, n_passes = 0;
  const std::vector<std::string> prompts = read_prompts(o);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    options.seed = i + 1;
    if (w > 1) {
      options.drafter = std::make_shared<BestBranches>(
          make_tree_drafter(draft.limits(), options.sampling, options.method, DraftSources::none(),
                            target.limits().n_vocab),
          w);
    }
    Session session(target, &draft, options);
    Outcome outcome = session.start(target.tokenize(prompts[i]));
    while (outcome == Outcome::running) {
      outcome = session.step();
      ++n_passes;
    }
    n_tokens += session.generated().size();
  }
  return static_cast<double>(n_tokens) / static_cast<double>(n_passes);
}

struct Shape {
  std::size_t w = 1, l = 0;
  double rate = 0.0;  // tokens per second
};

// A draft computes the root, then the ends of all chains level by level.
double round_ms(const Costs& target, const Costs& draft, std::size_t w, std::size_t l) {
  if (l == 0) return target[0][0];
  return target[w - 1][l] + draft[0][0] + static_cast<double>(l - 1) * draft[w - 1][0];
}

void print_best(const Costs& target, const Costs& draft, const std::vector<std::vector<double>>& n,
                const char* name) {
  std::vector<Shape> best(n.size());
  for (std::size_t w = 1; w <= n.size(); ++w) {
    for (std::size_t l = w == 1 ? 0 : 1; l < n[w - 1].size(); ++l) {
      const double rate = 1000.0 * n[w - 1][l] / round_ms(target, draft, w, l);
      if (rate > best[w - 1].rate) best[w - 1] = {w, l, rate};
    }
  }
  std::printf("  %-18s plain %.1f tokens/s; best", name, 1000.0 / target[0][0]);
  for (const Shape& s : best) {
    std::printf("  %zu x %zu: %.1f (%.3f)", s.w, s.l, s.rate, s.rate / best[0].rate);
  }
  std::printf("\n");
}

int run(const Options& o) {
  if (kernels::register_device() != kernels::Registration::registered) return 1;
  const Costs target = measure(o, o.model, "target");
  const Costs draft = measure(o, o.model_draft, "draft");
  if (o.target.empty()) return 0;
  const Costs free(o.width, std::vector<double>(o.length + 1, 0.0));
  const auto pair_target = load(o, o.target, 1);
  const auto pair_draft = load(o, o.draft, 1);
  for (const float temperature : {0.0F, 0.6F, 1.0F}) {
    std::vector<std::vector<double>> n(o.width, std::vector<double>(o.length + 1, 1.0));
    std::printf("temperature %g: tokens per pass, by drafted tokens of each chain:\n",
                static_cast<double>(temperature));
    for (std::size_t w = 1; w <= o.width; ++w) {
      std::printf("  %zu chains  %8.2f", w, 1.0);
      for (std::size_t l = 1; l <= o.length; ++l) {
        n[w - 1][l] = tokens_per_pass(*pair_target, *pair_draft, o, temperature, w, l);
        std::printf(" %8.2f", n[w - 1][l]);
        std::fflush(stdout);
      }
      std::printf("\n");
    }
    if (o.model.empty()) continue;
    print_best(target, free, n, "draft for nothing:");
    if (!o.model_draft.empty()) print_best(target, draft, n, "with the draft:");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "branches_bench: %s\n", error.what());
    return 1;
  }
}
