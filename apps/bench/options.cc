#include "apps/bench/options.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "apps/bench/methods.h"
#include "apps/common/sampling_options.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::bench {
namespace {

std::string method_list() {
  std::string names;
  for (const std::string_view name : method_names()) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return names;
}

void add_count(Arguments& arguments, const std::string& names, std::int64_t most,
               std::size_t& value, const std::string& description) {
  add_integer(
      arguments, names, 1, most, [&value](std::int64_t n) { value = static_cast<std::size_t>(n); },
      description + " (default: " + std::to_string(value) + ")");
}

void add_trace_options(Arguments& arguments, BenchOptions& options) {
  add_text(arguments, "--trace", "FILE", options.trace_file,
           "Record instead of measuring: what target and draft say at each position of the texts "
           "of plain decoding");
  add_count(arguments, "--trace-top", 1'000'000, options.n_trace_top,
            "Likeliest tokens of a position that a trace keeps");
  add_text(arguments, "--replay", "FILE", options.replay_file,
           "Evaluate the methods on a trace instead of the models, in seconds; times are then "
           "MODELLED (--cost)");
  add_text(arguments, "--cost", "CURVE", options.replay_cost,
           "What passes of a replay cost: measured (while the trace was recorded), flat, linear, "
           "a JSON file with curves, or flat:FILE, linear:FILE (default: measured)");
}

// What a trace has already been given, or does not need.
void refuse_for_replay(const Arguments& arguments) {
  for (const Option& option : arguments.options()) {
    if (!option.is_given()) continue;
    const std::string name = option.name();
    const bool is_model = option.group() == "Models" && name != "--threads";
    const bool is_sampling = option.group() == "Sampling" && name != "--temp";
    if (is_model || is_sampling || name == "--prompts" || name == "--seed" || name == "--peers") {
      throw bad_option(option.displayed_names() +
                       " with --replay; the trace was recorded with its own, leave it out");
    }
  }
}

// A trace and llama.cpp's programs are told of the common samplers only.
void refuse_samplers(const Arguments& arguments, const BenchOptions& options) {
  const bool has_trace = !options.trace_file.empty();
  if (!has_trace && !arguments.is_given("--peers")) return;
  for (const char* name : {"--top-n-sigma", "--typical", "--min-keep", "--xtc-probability",
                           "--xtc-threshold", "--dynatemp-range", "--dynatemp-exp", "--samplers",
                           "--dry-multiplier", "--mirostat", "--adaptive-target"}) {
    if (!arguments.is_given(name)) continue;
    throw bad_option(std::string(name) + " with " + (has_trace ? "--trace" : "--peers") +
                     ", which does not know it; leave one of them out");
  }
}

}  // namespace

void finish_bench_options(const Arguments& arguments, BenchOptions& options) {
  if (!options.temperatures && arguments.is_given("--temp")) {
    options.temperatures = std::vector<float>{options.sampling.temperature};
  }
  options.dry_breakers = dry_breaker_texts(arguments);
  refuse_samplers(arguments, options);
  if (!options.trace_file.empty()) {
    for (const char* name : {"--methods", "--sweep", "--peers", "--out", "--format", "--replay"}) {
      if (!arguments.is_given(name)) continue;
      throw bad_option(
          std::string(name) +
          " with --trace, which only records; leave it out, and give it with --replay");
    }
  }
  if (options.replay_file.empty()) {
    if (arguments.is_given("--cost"))
      throw bad_option("--cost without --replay; give a trace, too");
    return;
  }
  refuse_for_replay(arguments);
  if (options.guarantee == Guarantee::distribution) {
    throw bad_option(
        "--guarantee distribution with --replay, which knows what rejection would have accepted "
        "only of whole texts; measure it, or replay the rejection methods beside gumbel-tree");
  }
  if (!arguments.is_given("--n-prompts")) options.n_prompts = BenchOptions::kAll;
  if (!arguments.is_given("--runs")) options.n_runs = BenchOptions::kAll;
  if (!arguments.is_given("--predict")) options.n_tokens = BenchOptions::kAll;
  if (!arguments.is_given("--sweep-predict")) options.n_sweep_tokens = BenchOptions::kAll;
}

void add_bench_options(Arguments& arguments, BenchOptions& options) {
  add_model_options(arguments, options.models);
  add_sampling_options(arguments, options.sampling);
  arguments.option("--temp").describe("The same as --temps with one temperature");
  arguments.add_option(
      "--methods", "LIST",
      "Methods with commas or semicolons between them, each with a shape or without, e.g. "
      "ar,gumbel-beam:width=4,length=5,rejection:length=3; ar is always measured (default: "
      "all that there are with a draft: " +
          method_list() + "; ar and gumbel-tree without)",
      [&options](const std::string& text) { options.methods = parse_methods(text); });
  arguments.add_option(
      "--guarantee", "NAME",
      "seed, or distribution: a planned gumbel-tree may also use rejection sampling where that is "
      "faster, and its texts are others (default: seed)",
      [&options](const std::string& text) {
        if (text != "seed" && text != "distribution") {
          throw bad_option("--guarantee is " + in_quotes(text) +
                           "; give seed or distribution, all texts of bench have a seed");
        }
        options.guarantee = parse_guarantee(text);
      });
  arguments.add_option(
      "--temps", "LIST", "Temperatures with commas between them (default: 0,0.6,1)",
      [&options](const std::string& text) { options.temperatures = parse_temperatures(text); });
  add_text(arguments, "--prompts", "FILE", options.prompts_file,
           "Prompts, one JSON object per line, {\"prompt\": TEXT} or Spec-Bench's {\"turns\": "
           "[TEXT, ...]}; -: standard input (default: 40 openings of novels)");
  add_count(arguments, "--n-prompts", 1000, options.n_prompts, "Use the first N prompts");
  add_count(arguments, "-n,--predict,--n-predict", 1'000'000, options.n_tokens, "Tokens per text");
  add_count(arguments, "--runs", 1000, options.n_runs,
            "Times that everything is measured, each with other seeds");
  // Compared are texts of the same seeds, so there is no random one.
  arguments.add_option("-s,--seed", "N", "First seed, from 0 to 2^64 - 1 (default: 1)",
                       [&options](const std::string& text) { options.seed = parse_seed(text); });
  arguments.add_flag(
      "--sweep", options.sweeps,
      "Find the best shape of each method that is given without one, at each temperature "
      "with the prompts 1, 3, 5, ..., and report on the prompts 2, 4, 6, ...");
  add_count(arguments, "--sweep-predict", 1'000'000, options.n_sweep_tokens,
            "Tokens per text while shapes are tried");
  arguments.add_option(
      "--format", "NAME", "table, md, csv or json (default: table)",
      [&options](const std::string& text) { options.format = parse_bench_format(text); });
  add_text(arguments, "--out", "DIR", options.out_folder,
           "Also write results.json, results.md and plots (SVG, PNG) into this folder");
  arguments.add_optional_value(
      "--peers", "[DIR]",
      "Also run llama.cpp's own llama-server and llama-speculative-simple, each at its best draft "
      "length; DIR: the folder that scripts/llama-cpp-peers prints (default: "
      "lib/gumbelspec/peers)",
      [&options](const std::string& folder) { options.peers = folder; });
  add_trace_options(arguments, options);
}

std::string quoted_command(const std::vector<std::string>& arguments, const std::string& home) {
  const std::string plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%~";
  std::string out = "gumbelspec";
  for (std::string argument : arguments) {
    if (home.size() > 1 && argument.rfind(home + "/", 0) == 0) {
      argument.replace(0, home.size(), "~");
    }
    const bool is_plain =
        !argument.empty() && argument.find_first_not_of(plain) == std::string::npos;
    if (is_plain) {
      out += " " + argument;
      continue;
    }
    out += " '";
    for (const char c : argument) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += "'";
  }
  return out;
}

std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> arguments;
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = std::min(all.find('\0', begin), all.size());
    arguments.push_back(all.substr(begin, end - begin));
    begin = end + 1;
  }
  if (!arguments.empty()) arguments.erase(arguments.begin());
  const char* home = std::getenv("HOME");
  return quoted_command(arguments, home == nullptr ? "" : home);
}

}  // namespace gumbelspec::apps::bench
