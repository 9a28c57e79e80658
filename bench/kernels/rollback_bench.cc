// What a chain brings on a model with recurrent layers, and what a rejection costs: rounds of a
// target whose draft costs nothing and of which so many tokens are accepted, taken in turns.
//
//   rollback_bench -m model.gguf [-t 2] [-l 4] [-s 5] [-c 256] [-r 20]
//
// -l: length of the chain; -s: snapshots, 0: copies; -c: tokens before; -r: repetitions. Prints
// medians in milliseconds, and tokens per second beside those of plain decoding.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "gumbelspec/kernels.h"
#include "gumbelspec/llama_model.h"

namespace {

using namespace gumbelspec;

struct Options {
  std::string model;
  int threads = 2, length = 4, snapshots = 5, cached = 256, runs = 20;
  bool has_kernels = true;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "-m") o.model = value;
    if (name == "-t") o.threads = std::atoi(value.c_str());
    if (name == "-l") o.length = std::atoi(value.c_str());
    if (name == "-s") o.snapshots = std::atoi(value.c_str());
    if (name == "-c") o.cached = std::atoi(value.c_str());
    if (name == "-r") o.runs = std::atoi(value.c_str());
    if (name == "--kernels") o.has_kernels = value != "0";
  }
  return o;
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

TokenId token(std::size_t i, const LlamaModel& model) {
  return token_id(5 + i * 37 % (model.limits().n_vocab - 5));
}

// A round: the root and a chain, of which n_accepted stay. Returns: milliseconds.
double round_ms(LlamaModel& model, SeqId seq, std::size_t n_drafted, std::size_t n_accepted) {
  std::vector<PassNode> pass;
  std::vector<PendingId> path;
  const std::size_t begin = model.n_committed(seq);
  for (std::size_t i = 0; i <= n_drafted; ++i) {
    pass.push_back({seq, i == 0 ? kCommitted : pending_id(i - 1), token(begin + i, model), true});
    if (i <= n_accepted) path.push_back(pending_id(i));
  }
  const auto start = std::chrono::steady_clock::now();
  if (model.evaluate(pass) != PassOutcome::ok) std::exit(1);
  model.commit(seq, path);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  return took.count();
}

struct Kind {
  const char* name;
  std::size_t n_drafted;
  std::size_t n_accepted;
  std::vector<double> ms = {};
};

int run(const Options& o) {
  LlamaModelOptions options;
  if (o.has_kernels) {
    if (kernels::register_device() != kernels::Registration::registered) return 1;
    options.order_free_types = kernels::info().types;
  }
  options.path = o.model;
  options.n_threads = o.threads;
  options.n_snapshots = static_cast<std::size_t>(o.snapshots);
  const auto model = LlamaModel::load(options);
  const SeqId seq = model->open();
  std::vector<TokenId> text;
  for (int i = 0; i < o.cached; ++i) text.push_back(token(static_cast<std::size_t>(i), *model));
  if (model->extend(seq, text) != PassOutcome::ok) return 1;
  const LlamaRollback rollback = model->rollback();
  std::printf("%s; state %.1f MiB, to go back to %.1f MiB\n\n", model->description().c_str(),
              static_cast<double>(rollback.state_bytes) / 1048576.0,
              static_cast<double>(rollback.rollback_bytes) / 1048576.0);
  const auto n = static_cast<std::size_t>(o.length);
  Kind kinds[] = {{"plain", 0, 0},
                  {"chain, all accepted", n, n},
                  {"chain, one accepted", n, 1},
                  {"chain, none accepted", n, 0}};
  for (int r = 0; r <= o.runs; ++r) {
    for (Kind& kind : kinds) {
      // Several of a kind in a row: a rejection may have to be paid for in the round behind it.
      // The first round of a kind pays for what the kind before left.
      constexpr int kInARow = 6;
      for (int i = 0; i < kInARow; ++i) {
        const double ms = round_ms(*model, seq, kind.n_drafted, kind.n_accepted);
        if (i > 0 && r > 0) kind.ms.push_back(ms);
      }
      if (model->n_committed(seq) + 64 > model->limits().n_context) {
        model->truncate(seq, 0);
        if (model->extend(seq, text) != PassOutcome::ok) return 1;
      }
    }
  }
  std::printf(
      "| round | tokens | median ms | mean ms | tokens/s of plain |\n|---|---|---|---|---|\n");
  double plain = 0.0;
  for (const Kind& kind : kinds) {
    double sum = 0.0;
    for (const double ms : kind.ms) sum += ms;
    const double tokens = static_cast<double>(kind.n_accepted + 1);
    if (kind.n_drafted == 0) plain = median(kind.ms);
    std::printf("| %s | %.0f | %.2f | %.2f | %.2f |\n", kind.name, tokens, median(kind.ms),
                sum / static_cast<double>(kind.ms.size()), tokens * plain / median(kind.ms));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rollback_bench: %s\n", error.what());
    return 1;
  }
}
