// The program gumbelspec-scale: a small model's function at a larger model's cost.
#include <algorithm>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "apps/common/arguments.h"
#include "apps/common/output.h"
#include "apps/common/stop_signals.h"
#include "apps/common/utf8_stream.h"
#include "apps/scale/gguf_writer.h"
#include "apps/scale/padding.h"
#include "apps/scale/recurrent_layers.h"
#include "apps/scale/scale_model.h"

namespace gumbelspec::scale {
namespace {

void tell(const std::string& line) { std::cerr << "gumbelspec-scale: " << line << std::endl; }

void add_size(apps::Arguments& arguments, const std::string& name, int most, int& value,
              const std::string& description) {
  apps::add_integer(
      arguments, name, 1, most, [&value](std::int64_t n) { value = static_cast<int>(n); },
      description);
}

void add_options(apps::Arguments& arguments, ScaleOptions& o) {
  arguments.add_positional("IN.gguf", o.in,
                           "The small model, llama architecture, or an EAGLE-3 head");
  arguments.add_positional("OUT.gguf", o.out, "The model to write");
  arguments.add_option("--params", "SIZE",
                       "Parameters of the new model, e.g. 60M, 1B, 8B; the shape is chosen to fit",
                       [&o](const std::string& text) { o.params = parse_params(text); });
  apps::add_text(
      arguments, "--target", "FILE", o.target,
      "Of an EAGLE-3 head: the scaled model that it is to draft for; the head becomes as "
      "wide, and gets its vocabulary");
  apps::add_text(arguments, "--type", "NAME", o.type,
                 "Type of its matrices: q8_0, q4_0, q4_K, q5_K, q6_K, f16, bf16, f32 (default: "
                 "q8_0)");
  add_size(arguments, "--layers", 1024, o.shape.layers, "Layers, instead of what --params chooses");
  add_size(arguments, "--embd", 65536, o.shape.embd, "Dimensions of the residual stream, likewise");
  add_size(arguments, "--ff", 262144, o.shape.ff, "Feed-forward units, likewise");
  add_size(arguments, "--heads", 1024, o.shape.heads, "Attention heads, likewise");
  add_size(arguments, "--heads-kv", 1024, o.shape.heads_kv, "Heads of keys and values, likewise");
  add_size(arguments, "--vocab", kMostTokens, o.vocab,
           "Tokens of its vocabulary: added ones have logits too low ever to be chosen (default: "
           "the original's)");
  add_size(
      arguments, "--recurrent-layers", 1024, o.recurrent_layers,
      "Mamba-2 layers to add, which makes a hybrid model (granitehybrid) of the same function; "
      "a step of its own, after the others");
  apps::add_integer(
      arguments, "--distinct-rows", 0, 1'000'000,
      [&o](std::int64_t n) { o.distinct_rows = static_cast<int>(n); },
      "Random rows quantised per matrix shape, then repeated; 0: every row its own (default: 256)");
  apps::add_integer(
      arguments, "--seed", 0, 4294967295,
      [&o](std::int64_t n) { o.seed = static_cast<unsigned>(n); },
      "Seed of the random weights (default: 1)");
  add_size(arguments, "--threads", 1024, o.threads, "Threads (default: all cores)");
}

int scale(ScaleOptions o) {
  if (o.params == 0.0 && o.shape.layers == 0 && o.shape.embd == 0 && o.shape.ff == 0 &&
      o.shape.heads == 0 && o.shape.heads_kv == 0 && o.vocab == 0 && o.target.empty() &&
      o.recurrent_layers == 0) {
    throw std::runtime_error(
        "no size is given; give one with --params, e.g. --params 1B, or the --target of a head");
  }
  apps::Progress progress;
  o.on_progress = [&progress](double share) {
    if (apps::stop_requested()) throw apps::Stopped();
    progress.show("writing " + std::to_string(static_cast<int>(share * 100.0)) + " %");
  };
  const ScaleResult result = o.recurrent_layers > 0 ? add_recurrent_layers(o) : scale_model(o);
  progress.clear();
  const ModelShape& s = result.shape;
  std::cout << o.out << ": " << params_text(result.n_params) << " parameters, " << o.type << ", "
            << result.n_bytes / 1'000'000 << " MB; " << s.layers << " layers of " << s.embd
            << ", heads " << s.heads << "/" << s.heads_kv << ", ff " << s.ff << ", "
            << result.n_vocab << " tokens" << std::endl;
  return 0;
}

int run(const std::vector<std::string>& given) {
  ScaleOptions options;
  options.threads = all_cores();
  apps::Arguments arguments(
      "gumbelspec-scale",
      "Writes a model that computes the function of a small one at the cost of a larger one: for "
      "measuring speed with the acceptance of a real pair");
  arguments.set_version(std::string("gumbelspec-scale ") + GUMBELSPEC_VERSION);
  add_options(arguments, options);
  if (const auto text = arguments.parse(given)) {
    std::cout << *text << std::flush;
    return 0;
  }
  return scale(options);
}

int run_and_report(const std::vector<std::string>& given) {
  try {
    return run(given);
  } catch (const apps::Stopped&) {
    tell("stopped by a signal; nothing was written");
    return apps::stopped_exit_code();
  } catch (const WriteError& error) {
    tell(apps::visible(error.what()));
    return apps::kExitFailure;
  } catch (const std::bad_alloc&) {
    tell("out of memory; write a smaller model");
    return apps::kExitFailure;
  } catch (const std::exception& error) {
    tell(apps::visible(error.what()));
    return apps::kExitBadInput;
  }
}

}  // namespace
}  // namespace gumbelspec::scale

int main(int argc, char** argv) {
  gumbelspec::apps::install_stop_signals();
  // What is wrong is told in one line of ours.
  ggml_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  return gumbelspec::scale::run_and_report(std::vector<std::string>(argv + 1, argv + argc));
}
