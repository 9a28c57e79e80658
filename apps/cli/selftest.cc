// gumbelspec selftest: the user's proof that this installation and these models are exact.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/commands.h"
#include "apps/cli/selftest_identity.h"
#include "apps/cli/selftest_reference.h"
#include "apps/cli/selftest_report.h"
#include "apps/common/method_option.h"
#include "apps/common/model_options.h"
#include "apps/common/output.h"
#include "apps/common/prompt.h"
#include "apps/common/sampling_options.h"
#include "apps/common/stop_signals.h"
#include "apps/common/utf8_stream.h"
#include "testing/selftest_checks.h"

namespace gumbelspec::apps::cli {
namespace {

using testing::Sabotage;

// How much is done. More texts of the in-memory model see smaller errors.
struct Extent {
  std::size_t n_prompts;
  std::size_t n_seeds;
  std::size_t n_tokens;     // per text
  std::size_t n_samples;    // texts of the in-memory model per check
  std::size_t n_reference;  // tokens of the text that llama.cpp's own code reads, too
};
// With fewer a wrong sampler may pass.
constexpr std::int64_t kFewestSamples = 100'000;
constexpr Extent kFull = {20, 3, 100, 1'000'000, 256};
constexpr Extent kQuick = {5, 1, 50, 100'000, 128};

struct SelftestOptions {
  ModelOptions models;
  SamplingOptions sampling;
  std::vector<std::string> dry_breakers;  // texts
  std::string prompts_file;               // empty: the built-in prompts
  std::optional<std::size_t> n_seeds;
  std::optional<std::size_t> n_tokens;
  std::optional<std::size_t> n_samples;
  std::vector<std::string> cases;  // parts of names of checks; empty: all
  bool is_quick = false;
  bool is_json = false;
  Sabotage sabotage = Sabotage::none;
};

Sabotage parse_sabotage(const std::string& text) {
  const auto names = testing::sabotage_names();
  const auto found = std::find(names.begin(), names.end(), text);
  if (found != names.end()) return static_cast<Sabotage>(found - names.begin());
  std::string known;
  for (const std::string_view name : names)
    known += (known.empty() ? "" : ", ") + std::string(name);
  throw bad_option("--sabotage is " + in_quotes(text) + "; give one of " + known);
}

// One prompt per line.
std::vector<std::string> prompts_of_file(const std::string& path) {
  const std::string text = read_file(path);
  if (const auto at = first_invalid_utf8(text)) {
    throw Error(ErrorCode::invalid_prompt, "file " + in_quotes(path) + " is not UTF-8 at offset " +
                                               std::to_string(*at) +
                                               "; convert it, e.g. with iconv -t UTF-8");
  }
  std::vector<std::string> prompts;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) prompts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (prompts.empty()) {
    throw Error(ErrorCode::invalid_prompt,
                "file " + in_quotes(path) + " has no prompt; write one on each line");
  }
  return prompts;
}

class SelftestRun {
 public:
  explicit SelftestRun(const SelftestOptions& options)
      : options_(options),
        models_(with_demo_pair(options.models)),
        extent_(options.is_quick ? kQuick : kFull) {
    validate(options.sampling);
    if (options.n_seeds) extent_.n_seeds = *options.n_seeds;
    if (options.n_tokens) extent_.n_tokens = *options.n_tokens;
    if (options.n_samples) extent_.n_samples = *options.n_samples;
    if (options.prompts_file.empty()) {
      const auto built_in = selftest_prompts().first(extent_.n_prompts);
      prompts_.assign(built_in.begin(), built_in.end());
    } else {
      prompts_ = prompts_of_file(options.prompts_file);
    }
  }

  int run() {
    check_identity_of_models();
    check_reference_of_models();
    check_distribution();
    check_sabotage();
    print(summary_text(report_));
    if (options_.is_json) out_.write(selftest_json(report_).dump() + "\n");
    out_.close();
    return report_.passed() ? 0 : kExitFailure;
  }

 private:
  void check_identity_of_models();
  void check_reference_of_models();
  void check_distribution();
  void check_sabotage();
  [[nodiscard]] std::vector<Method> possible_methods(const Models& models) const;
  [[nodiscard]] testing::CheckExtent wanted_checks() const {
    return {extent_.n_samples, options_.cases};
  }
  [[nodiscard]] testing::Progress show(const std::string& section);
  void print(const std::string& text) {
    if (!options_.is_json) out_.write(text);
  }

  const SelftestOptions& options_;
  ModelOptions models_;
  Extent extent_;
  std::vector<std::string> prompts_;
  Output out_ = Output::standard();
  Progress progress_;
  SelftestReport report_;
};

// Without duplicates, and without those that come down to plain decoding.
std::vector<Method> SelftestRun::possible_methods(const Models& models) const {
  std::vector<Method> methods;
  std::vector<std::string> names;
  std::string told;
  for (const Method& wanted : selftest_methods()) {
    const PossibleMethod possible =
        possible_method(wanted, models.target->limits(), models.draft->limits());
    if (!possible.reason.empty() && told.empty()) say(told = possible.reason);
    const std::string name = to_string(possible.method);
    const bool is_new = std::find(names.begin(), names.end(), name) == names.end();
    if (!possible.method.drafts() || !is_new) continue;
    methods.push_back(possible.method);
    names.push_back(name);
  }
  return methods;
}

void SelftestRun::check_identity_of_models() {
  const Models models = load_models(models_, /*wants_draft=*/true, progress_);
  IdentityOptions identity;
  if (models.draft != nullptr) identity.methods = possible_methods(models);
  if (identity.methods.empty()) {
    report_.identity_skipped =
        models.draft == nullptr ? "the samplers are exact; without a draft model (-md) there is "
                                  "no text to compare"
                                : "the samplers are exact; these models decode plainly, so there "
                                  "is no text to compare";
    print("identity: skipped\n");
    return;
  }
  identity.prompts = prompts_;
  identity.n_seeds = extent_.n_seeds;
  identity.n_tokens = extent_.n_tokens;
  identity.sampling = options_.sampling;
  take_dry_breakers(options_.dry_breakers, *models.target, identity.sampling);
  print("identity: " + std::to_string(prompts_.size()) + " prompts x " +
        std::to_string(identity.n_seeds) + " seeds x " + std::to_string(identity.n_tokens) +
        " tokens, each method against ar\n");
  report_.identity = check_identity(identity, models, progress_);
  print(identity_text(*report_.identity, prompts_));
}

// Behind the comparison of methods, whose models are gone then.
void SelftestRun::check_reference_of_models() {
  ReferenceOptions reference;
  reference.models = models_;
  reference.prompts = prompts_;
  reference.n_tokens = extent_.n_reference;
  report_.reference = check_reference(reference, progress_);
  print("reference: logits against those of llama.cpp's own code, one text of " +
        std::to_string(report_.reference->n_tokens) + " tokens\n");
  print(reference_text(*report_.reference));
}

testing::Progress SelftestRun::show(const std::string& section) {
  return [this, section](std::string_view name) {
    if (stop_requested()) throw Stopped();
    progress_.show(section + ": " + std::string(name));
  };
}

void SelftestRun::check_distribution() {
  const std::string in_place =
      options_.sabotage == Sabotage::none
          ? ""
          : ", with " +
                std::string(
                    testing::sabotage_names()[static_cast<std::size_t>(options_.sabotage)]) +
                " in the sampler's place";
  print("distribution: joint counts of three tokens, " + std::to_string(extent_.n_samples) +
        " texts each, against the enumerated ones" + in_place + "\n");
  report_.distribution =
      testing::distribution_checks(options_.sabotage, wanted_checks(), show("distribution"));
  progress_.clear();
  print(checks_text(report_.distribution, ""));
}

void SelftestRun::check_sabotage() {
  print("sabotage: wrong samplers, each must be caught\n");
  report_.sabotage = testing::sabotage_checks(wanted_checks(), show("sabotage"));
  progress_.clear();
  if (stop_requested()) throw Stopped();
  print(checks_text(report_.sabotage, "caught: "));
}

// Throws: bad_option() if no check's name contains it.
void check_case(const std::string& text) {
  const auto has_text = [&](std::string_view name) { return name.find(text) != name.npos; };
  std::string known;
  for (const testing::DistributionCase& c : testing::distribution_cases()) {
    if (has_text(c.name)) return;
    known += (known.empty() ? "" : "; ") + c.name;
  }
  const auto sabotages = testing::sabotage_names();
  if (std::any_of(sabotages.begin() + 1, sabotages.end(), has_text)) return;
  throw bad_option(
      "--cases is " + in_quotes(text) +
      ", which is in no check's name; give a part of a sabotage's or one of these: " + known);
}

void add_extent_options(Arguments& arguments, SelftestOptions& options) {
  arguments.add_flag(
      "--quick", options.is_quick,
      "Less of everything, in seconds: 5 prompts, 1 seed, 50 tokens, 100000 samples");
  add_text(arguments, "--prompts", "FILE", options.prompts_file,
           "Prompts, one per line; -: standard input (default: 20 built-in ones)");
  add_integer(
      arguments, "--seeds", 1, 1'000'000,
      [&options](std::int64_t n) { options.n_seeds = static_cast<std::size_t>(n); },
      "Seeds per prompt (default: 3)");
  add_integer(
      arguments, "-n,--predict", 1, 1'000'000,
      [&options](std::int64_t n) { options.n_tokens = static_cast<std::size_t>(n); },
      "Tokens per text (default: 100)");
  add_integer(
      arguments, "--samples", kFewestSamples, 1'000'000'000,
      [&options](std::int64_t n) { options.n_samples = static_cast<std::size_t>(n); },
      "Texts of the in-memory model per check of a distribution; more of them see smaller errors, "
      "at least 100000 (default: 1000000)");
  arguments.add_list(
      "--cases", "TEXT",
      "Only checks of distributions whose names contain TEXT; may be given several times",
      [&options](const std::vector<std::string>& texts) {
        std::for_each(texts.begin(), texts.end(), check_case);
        options.cases = texts;
      });
  arguments.add_flag("--json", options.is_json, "Print one JSON object instead of text");
  arguments
      .add_option("--sabotage", "NAME", "",
                  [&options](const std::string& text) { options.sabotage = parse_sabotage(text); })
      .hide();  // hidden: for those who want to see the self-test fail
}

}  // namespace

Command add_selftest(Arguments& program) {
  const auto options = std::make_shared<SelftestOptions>();
  Arguments& arguments =
      program.add_command("selftest", "Prove that this installation and these models are exact");
  add_model_options(arguments, options->models);
  add_sampling_options(arguments, options->sampling);
  add_extent_options(arguments, *options);
  return {&arguments, [options, &arguments] {
            options->dry_breakers = dry_breaker_texts(arguments);
            return SelftestRun(*options).run();
          }};
}

}  // namespace gumbelspec::apps::cli
