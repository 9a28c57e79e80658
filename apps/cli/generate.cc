// gumbelspec generate: a prompt goes on.
#include <cstdint>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli/commands.h"
#include "apps/cli/guarantee.h"
#include "apps/cli/planner_options.h"
#include "apps/cli/structure_options.h"
#include "apps/cli/tree_dot.h"
#include "apps/common/escapes.h"
#include "apps/common/load_options.h"
#include "apps/common/method_option.h"
#include "apps/common/model_options.h"
#include "apps/common/model_sampling.h"
#include "apps/common/output.h"
#include "apps/common/prompt.h"
#include "apps/common/random_seed.h"
#include "apps/common/report.h"
#include "apps/common/sampling_options.h"
#include "apps/common/stop_signals.h"
#include "apps/common/utf8_stream.h"
#include "gumbelspec/noise.h"
#include "gumbelspec/session.h"

namespace gumbelspec::apps::cli {
namespace {

// Prompts that take a noticeable time, in bytes.
constexpr std::size_t kLongPrompt = 4096;

struct GenerateOptions {
  ModelOptions models;
  SamplingOptions sampling;
  std::optional<Method> method;
  PlannerOptions planner;
  std::optional<std::uint64_t> seed;  // none: a random one
  std::optional<std::string> prompt;
  std::optional<std::string> prompt_file;
  bool is_plain_prompt = false;  // control tokens in it are mere text
  std::int64_t n_predict = 128;  // tokens; -1: until the context is full
  bool has_escapes = false;      // in the prompt of -p
  bool shows_prompt = true;
  StructureOptions structure;
  bool ignores_end = false;
  int n_logprobs = -1;  // -1: none
  bool is_json = false;
  bool shows_statistics = false;
  std::string dump_tree;  // a file; empty: off
  std::optional<std::uint32_t> dump_round;
};

// What came of it; complete at any time, a signal included.
struct Generation {
  std::string text;
  std::vector<std::int32_t> tokens;
  Json logprobs = Json::array();
  Outcome outcome = Outcome::cancelled;
  Statistics statistics;
  std::optional<PlannerReport> planner;
};

class GenerateRun {
 public:
  GenerateRun(const Arguments& arguments, const GenerateOptions& options);
  int run();

 private:
  void generate();
  // What this text gets.
  [[nodiscard]] Guarantee guarantee() const {
    if (!method_.keeps_seed()) return Guarantee::distribution;
    return guarantee_for(options_.planner.guarantee.value_or(Guarantee::seed),
                         options_.seed.has_value());
  }
  void take_round(const LlamaModel& target, const Session& session);
  void finish_text();
  void print(const std::string& text);
  void tell_end() const;
  void write_tree();
  [[nodiscard]] Json result_json() const;

  const Arguments& arguments_;
  const GenerateOptions& options_;
  SamplingOptions sampling_;
  ModelOptions model_options_;
  Method method_;
  std::string prompt_;
  std::optional<Structure> structure_;
  std::uint64_t seed_;
  Output out_ = Output::standard();
  std::optional<Output> dump_;
  TreeRecorder recorder_;
  std::string dot_;
  Progress progress_;
  Utf8Stream utf8_;
  bool is_line_open_ = false;
  std::size_t n_context_ = 0;
  std::size_t max_context_ = 0;
  bool is_same_seed_ = false;  // every method gives this seed's text
  Generation result_;
};

// Everything that can be wrong without the models is found before they are loaded.
GenerateRun::GenerateRun(const Arguments& arguments, const GenerateOptions& options)
    : arguments_(arguments),
      options_(options),
      sampling_(options.sampling),
      model_options_(with_demo_pair(options.models)),
      method_(method_for(bounded_method(options.method, options.planner), model_options_)),
      seed_(options.seed ? *options.seed : random_seed()),
      recorder_(options.dump_round) {
  validate(options_.sampling);
  check_named_model(options_.planner, model_options_);
  if (options_.dump_round && options_.dump_tree.empty()) {
    throw bad_option("--dump-round without --dump-tree; give the file with --dump-tree FILE");
  }
  if (options_.n_logprobs >= 0 && !options_.is_json) {
    throw bad_option("--logprobs without --json, which prints them; give it, too");
  }
  structure_ = read_structure(options_.structure);
  if (structure_ && options_.ignores_end) {
    throw bad_option(structure_->option +
                     " with --ignore-eos, which would go on after the text is complete; leave one "
                     "out");
  }
  prompt_ = read_prompt(options_.prompt, options_.prompt_file);
  if (options_.has_escapes && options_.prompt) prompt_ = unescaped(prompt_);
  if (!options_.dump_tree.empty()) dump_.emplace(Output::file(options_.dump_tree));
}

int GenerateRun::run() {
  try {
    generate();
  } catch (const Stopped&) {
    result_.outcome = Outcome::cancelled;
  } catch (const Error&) {
    // The message goes on a line of its own.
    finish_text();
    throw;
  }
  finish_text();
  if (options_.is_json) out_.write(result_json().dump() + "\n");
  tell_end();
  const bool is_stopped = result_.outcome == Outcome::cancelled;
  if (options_.shows_statistics || (is_stopped && !options_.is_json)) {
    std::cerr << statistics_text(result_.statistics);
    if (result_.planner) std::cerr << planner_text(*result_.planner);
    std::cerr << std::flush;
  }
  out_.close();
  write_tree();
  return is_stopped ? stopped_exit_code() : 0;
}

void GenerateRun::generate() {
  const Models models = load_models(model_options_, method_.drafts(), progress_);
  method_ = possible_method_told(method_, models);
  n_context_ = models.target->limits().n_context;
  max_context_ = models.target->limits().max_context;
  // Methods that do not keep a seed's text promise nothing.
  if (method_.keeps_seed() && guarantee() == Guarantee::seed) {
    tell_broken_guarantee(*models.target);
    is_same_seed_ = models.target->guarantee().holds;
  }
  TextOptions text_options;
  tell_what_follows(model_options_.more);
  take_model_sampling(arguments_, *models.target, sampling_);
  text_options.sampling = sampling_;
  text_options.method = method_;
  text_options.guarantee = guarantee();
  text_options.seed = seed_;
  text_options.ignores_end = options_.ignores_end;
  text_options.n_logprobs = options_.n_logprobs;
  text_options.max_tokens =
      options_.n_predict < 0 ? n_context_ : static_cast<std::size_t>(options_.n_predict);
  const CostCache cache = cost_cache_of(models, model_options_, options_.planner);
  std::shared_ptr<const Grammar> grammar;
  if (structure_) {
    grammar = compile_structure(*structure_, *models.target);
    text_options.constraint = grammar->matcher();
  }
  SessionParts parts;
  parts.costs = costs_for(method_, models, cache, progress_);
  parts.calibrations = cache.calibrations();
  parts.is_cancelled = stop_requested;
  Session session(*models.target, models.drafting(), text_options, parts);
  const std::vector<TokenId> tokens = models.target->tokenize(
      prompt_, {.adds_special = true, .reads_control = !options_.is_plain_prompt});
  if (prompt_.size() > kLongPrompt) progress_.show("reading the prompt");
  result_.outcome = session.start(tokens);
  result_.statistics = session.statistics();
  progress_.clear();
  if (!options_.seed && !options_.is_json) {
    say("seed " + std::to_string(seed_) + " (random; give it with --seed for the same text)");
  }
  if (options_.shows_prompt) print(prompt_);
  while (result_.outcome == Outcome::running) {
    result_.outcome = session.step();
    result_.statistics = session.statistics();
    take_round(*models.target, session);
    if (dump_ && result_.outcome != Outcome::cancelled) {
      recorder_.see(static_cast<std::uint32_t>(session.statistics().n_rounds - 1),
                    session.last_tree(), session.last_walk());
    }
  }
  cache.keep(*parts.calibrations);
  if (const PlannerReport* report = session.planner_report()) result_.planner = *report;
  if (recorder_.snapshot()) {
    dot_ = tree_dot(*recorder_.snapshot(), [&](TokenId token) {
      return models.target->is_end(token) ? "(end)" : models.target->piece(token);
    });
  }
}

void GenerateRun::take_round(const LlamaModel& target, const Session& session) {
  for (const GeneratedToken& token : session.last_tokens()) {
    result_.tokens.push_back(static_cast<std::int32_t>(token.token));
    const std::string text = utf8_.append(target.piece(token.token));
    result_.text += text;
    print(text);
  }
  const auto json = [](const TokenLogprob& of) {
    return Json{{"token", static_cast<std::int32_t>(of.token)}, {"logprob", of.logprob}};
  };
  const std::span<const TokenLogprob> chosen = session.last_logprobs();
  const std::span<const TokenLogprob> all = session.last_top_logprobs();
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    Json entry = json(chosen[i]);
    entry["top"] = Json::array();
    const std::size_t n = all.size() / chosen.size();
    for (const TokenLogprob& of : all.subspan(i * n, n)) entry["top"].push_back(json(of));
    result_.logprobs.push_back(std::move(entry));
  }
}

// A character that the last token left incomplete, and the line's end.
void GenerateRun::finish_text() {
  progress_.clear();
  const std::string rest = utf8_.finish();
  result_.text += rest;
  print(rest);
  if (is_line_open_) print("\n");
}

void GenerateRun::print(const std::string& text) {
  if (options_.is_json || text.empty()) return;
  out_.write(text);
  is_line_open_ = text != "\n";
}

void GenerateRun::tell_end() const {
  if (result_.outcome == Outcome::context_full) {
    say("stopped: the context of " + std::to_string(n_context_) +
        " tokens is full; ask for fewer tokens (-n)" +
        (n_context_ < max_context_
             ? " or a larger context (-c), up to " + std::to_string(max_context_)
             : ", the model takes no larger context"));
  }
  if (result_.outcome == Outcome::cancelled) say("stopped by a signal");
}

void GenerateRun::write_tree() {
  if (!dump_) return;
  if (!recorder_.snapshot()) {
    const std::size_t n_rounds = result_.statistics.n_rounds;
    if (n_rounds == 0) {
      throw bad_option("no tree to write: the text has no rounds; generate at least one token");
    }
    throw bad_option("--dump-round is " + std::to_string(*options_.dump_round) +
                     ", but the last round is " + std::to_string(n_rounds - 1) +
                     "; give a smaller number");
  }
  dump_->write(dot_);
  dump_->close();
}

Json GenerateRun::result_json() const {
  Json json = {
      {"text", result_.text},
      {"tokens", result_.tokens},
      {"seed", seed_},
      {"noise_version", kNoiseVersion},
      {"same_seed", is_same_seed_},
      {"guarantee", to_string(guarantee())},
      {"method", to_string(method_)},
      {"stop_reason", to_string(result_.outcome)},
      {"stats", statistics_json(result_.statistics)},
  };
  if (options_.n_logprobs >= 0) json["logprobs"] = result_.logprobs;
  return json;
}

void add_output_options(Arguments& arguments, GenerateOptions& options) {
  arguments.add_flag(
      "--json", options.is_json,
      "Print one JSON object at the end instead of text: text, tokens (ids of the "
      "generated ones), seed, noise_version, same_seed (whether every method that keeps a "
      "seed's text gives this one), guarantee (seed or distribution), method, stop_reason (eos, "
      "length, "
      "context_full, cancelled), stats, and logprobs where asked for");
  add_integer(
      arguments, "--logprobs", 0, 1000,
      [&options](std::int64_t n) { options.n_logprobs = static_cast<int>(n); },
      "With --json also the log-probability of each token by the model itself, and of the N "
      "likeliest ones in its place");
  arguments.add_flag("--stats", options.shows_statistics,
                     "Print counts and times on standard error at the end");
  arguments.add_flag(
      "--no-display-prompt", [&options] { options.shows_prompt = false; },
      "Print the generated text only");
  add_text(arguments, "--dump-tree", "FILE", options.dump_tree,
           "Write the draft tree of one round as Graphviz dot (dot -Tsvg FILE)");
  add_integer(
      arguments, "--dump-round", 0, std::numeric_limits<std::uint32_t>::max(),
      [&options](std::int64_t k) { options.dump_round = static_cast<std::uint32_t>(k); },
      "Which round, from 0 (default: the first one with the most accepted tokens)");
}

}  // namespace

Command add_generate(Arguments& program) {
  const auto options = std::make_shared<GenerateOptions>();
  Arguments& arguments = program.add_command("generate", "Continue a prompt");
  add_model_options(arguments, options->models);
  add_sampling_options(arguments, options->sampling);
  add_text(arguments, "-p,--prompt", "TEXT", options->prompt, "The prompt, UTF-8");
  add_text(
      arguments, "-f,--file", "FILE", options->prompt_file,
      "A file with the prompt, without its final line break and a byte-order mark; -: standard "
      "input");
  arguments.add_flag(
      "--no-parse-special", options->is_plain_prompt,
      "Texts of control tokens in the prompt (</s>) are mere text, not those tokens");
  arguments.add_flag("-e,--escape", options->has_escapes,
                     "\\n, \\t, \\\\ and so on in -p stand for what they mean");
  add_integer(
      arguments, "-n,--predict,--n-predict", -1, std::numeric_limits<std::int32_t>::max(),
      [options](std::int64_t n) { options->n_predict = n; },
      "Tokens to generate at most; -1: until the context is full (default: 128)");
  arguments.add_flag("--ignore-eos", options->ignores_end, "Go on after the model's end of text");
  add_seed_option(arguments, options->seed);
  add_structure_options(arguments, options->structure);
  add_method_option(arguments, options->method);
  add_planner_options(arguments, options->planner);
  add_output_options(arguments, *options);
  return {&arguments, [&arguments, options] { return GenerateRun(arguments, *options).run(); }};
}

}  // namespace gumbelspec::apps::cli
