// gumbelspec info: what this installation and these models are.
#include <iostream>
#include <memory>
#include <string>

#include "apps/cli/commands.h"
#include "apps/cli/guarantee.h"
#include "apps/common/method_option.h"
#include "apps/common/model_options.h"
#include "apps/common/output.h"
#include "gumbelspec/noise.h"
#include "gumbelspec/simd.h"
#include "src/pair/kernels.h"

namespace gumbelspec::apps::cli {
namespace {

std::string line(std::string name, const std::string& value) {
  name.resize(10, ' ');
  return name + value + "\n";
}

const char* name_of(Simd simd) {
  switch (simd) {
    case Simd::scalar:
      return "scalar code";
    case Simd::avx2:
      return "AVX2";
    case Simd::avx512:
      return "AVX-512";
  }
  return "?";
}

// llama.cpp's list ends in a separator.
std::string backend() {
  std::string text = LlamaModel::backend_description();
  text.erase(text.find_last_not_of(" |") + 1);
  return text;
}

// Which instruction sets a portable build has found to be the best here.
std::string cpu_code() {
  const std::string variant = LlamaModel::cpu_variant();
  return variant.empty() ? std::string() : line("cpu code", "llama.cpp's for " + variant);
}

std::string program_text() {
  std::string methods;
  for (const std::string_view name : method_names()) {
    methods += (methods.empty() ? "" : ", ") + std::string(name);
  }
  return line("version", std::string("gumbelspec ") + GUMBELSPEC_VERSION) +
         line("noise", "version " + std::to_string(kNoiseVersion) + ", computed with " +
                           name_of(simd_in_use())) +
         line("backend", backend()) + cpu_code() + line("kernels", kernels_description()) +
         line("methods", methods);
}

std::string in_mib(std::size_t bytes) { return std::to_string(bytes >> 20U) + " MiB"; }

std::string shapes(const ModelLimits& limits) {
  if (limits.can_branch) return "trees are possible";
  const std::string why = "the model " + std::string(limits.why_no_drop);
  if (limits.longest_chain() == 0) return "plain decoding only, " + why;
  if (limits.can_drop_passes) return "chains only, " + why;
  return "chains of up to " + std::to_string(limits.longest_chain()) + " tokens only, " + why;
}

// What going back takes, where there is a recurrent state.
std::string rollback_text(const LlamaModel& model) {
  const LlamaRollback rollback = model.rollback();
  if (rollback.state_bytes == 0) return {};
  const std::string of_state = "a state of " + in_mib(rollback.state_bytes);
  if (rollback.n_snapshots == 0) return line("", of_state + ", and a copy of it to go back to");
  return line("", of_state + ", and " + std::to_string(rollback.n_snapshots) +
                      " snapshots of it to go back to, " + in_mib(rollback.rollback_bytes) +
                      " (--snapshots)");
}

std::string model_text(const std::string& name, const LlamaModel& model) {
  const ModelLimits& limits = model.limits();
  return line(name, model.description() + ", vocabulary " + std::to_string(limits.n_vocab) +
                        ", context " + std::to_string(limits.n_context) + "; " + shapes(limits)) +
         rollback_text(model);
}

std::string devices_text(const ModelOptions& options) {
  std::string text;
  for (const LlamaDevice& d : LlamaModel::devices(options.rpc_servers, options.rpc_timeout)) {
    text += line(text.empty() ? "devices" : "", d.name + ": " + d.description + ", " +
                                                    in_mib(d.total_bytes) + ", " +
                                                    in_mib(d.free_bytes) + " free");
  }
  return text;
}

// "0-11, 13"
std::string ranges(const std::vector<int>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    text += (text.empty() ? "" : ", ") + std::to_string(numbers[i]);
    if (end - i > 1) text += "-" + std::to_string(numbers[end - 1]);
    i = end;
  }
  return text;
}

std::string placement_text(const LlamaModel& model) {
  std::string text;
  for (const LlamaPlacement& part : model.placement()) {
    text += line("", "on " + part.device + ": " +
                         (part.layers.empty() ? "no layers" : "layers " + ranges(part.layers)) +
                         ", buffers of " + in_mib(part.bytes));
  }
  return text;
}

// What the promise of one text per seed rests on.
std::string same_seed_text(const LlamaModel& target) {
  const PassGuarantee guarantee = target.guarantee();
  std::string text =
      line("same seed", guarantee.holds ? "the same text with every method, because the target's "
                                          "logits do not depend on the pass:"
                                        : "the text may depend on the method, because the "
                                          "target's logits may depend on the pass:");
  for (const std::string& part : guarantee_lines(guarantee)) text += line("", part);
  return text;
}

int run_info(const ModelOptions& given) {
  const ModelOptions options = with_demo_pair(given);
  Progress progress;
  const Models models = load_models(options, /*wants_draft=*/true, progress);
  std::string text = program_text();
  text += devices_text(options);
  text += line("threads", std::to_string(models.target->n_threads()));
  text += model_text("target", *models.target);
  text += placement_text(*models.target);
  if (models.draft != nullptr) {
    text += model_text(models.draft->limits().is_head() ? "head" : "draft", *models.draft) +
            (models.translated.model ? line("", to_string(models.translated.likeness)) : "") +
            placement_text(*models.draft);
  }
  text += same_seed_text(*models.target);
  Output out = Output::standard();
  out.write(text);
  out.close();
  return 0;
}

}  // namespace

Command add_info(Arguments& program) {
  const auto options = std::make_shared<ModelOptions>();
  Arguments& arguments =
      program.add_command("info", "Show versions, the processor's features and the models");
  add_model_options(arguments, *options);
  return {&arguments, [options] { return run_info(*options); }};
}

}  // namespace gumbelspec::apps::cli
