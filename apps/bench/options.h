// The options of gumbelspec bench.
#ifndef GUMBELSPEC_APPS_BENCH_OPTIONS_H_
#define GUMBELSPEC_APPS_BENCH_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/bench/report.h"
#include "apps/common/arguments.h"
#include "apps/common/model_options.h"
#include "gumbelspec/method.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec::apps::bench {

struct BenchOptions {
  // Of a count, for a replay: as much as the trace has.
  static constexpr std::size_t kAll = static_cast<std::size_t>(-1);

  ModelOptions models;
  SamplingOptions sampling;
  std::vector<std::string> dry_breakers;           // texts
  std::vector<Method> methods;                     // empty: all
  std::optional<std::vector<float>> temperatures;  // none: 0, 0.6, 1, or --temp
  std::string prompts_file;                        // empty: the openings that come with the program
  Guarantee guarantee = Guarantee::seed;           // of planned trees
  std::size_t n_prompts = 8;
  std::size_t n_tokens = 64;  // per text
  std::size_t n_runs = 3;
  std::uint64_t seed = 1;
  bool sweeps = false;
  std::size_t n_sweep_tokens = 32;  // per text
  BenchFormat format = BenchFormat::table;
  std::string out_folder;  // empty: none
  // llama.cpp's own programs, too; the folder, empty: lib/gumbelspec/peers.
  std::optional<std::string> peers;
  std::string trace_file;        // written instead of measuring; empty: none
  std::size_t n_trace_top = 64;  // tokens of a row
  std::string replay_file;       // read instead of models; empty: none
  std::string replay_cost = "measured";
};

void add_bench_options(Arguments& arguments, BenchOptions& options);

// What depends on which options were given: --temp, and what --trace and --replay exclude.
// Throws: Error{invalid_option}.
void finish_bench_options(const Arguments& arguments, BenchOptions& options);

// The program's command line as it would be typed; the home folder as ~.
[[nodiscard]] std::string command_line();
[[nodiscard]] std::string quoted_command(const std::vector<std::string>& arguments,
                                         const std::string& home);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_OPTIONS_H_
