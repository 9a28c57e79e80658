// gumbelspec models: what the cache of models by name holds.
#include <memory>
#include <string>

#include "apps/cli/commands.h"
#include "apps/common/output.h"
#include "apps/common/report.h"
#include "apps/hub/hub.h"

namespace gumbelspec::apps::cli {
namespace {

struct ModelsOptions {
  std::string removed;  // USER/MODEL[:QUANT]; empty: list
  bool is_json = false;
};

std::string megabytes(std::uint64_t n_bytes) {
  return formatted("%.1f MB", static_cast<double>(n_bytes) / 1e6);
}

int list(const ModelsOptions& options, const hub::Settings& settings) {
  Json json = Json::array();
  std::string text;
  for (const hub::CachedModel& model : hub::cached_models(settings)) {
    json.push_back({{"name", model.name},
                    {"path", model.path},
                    {"bytes", model.n_bytes},
                    {"files", model.n_files},
                    {"complete", model.is_complete}});
    text += model.name + "  " + megabytes(model.n_bytes) +
            (model.n_files > 1 ? ", " + std::to_string(model.n_files) + " files" : "") +
            (model.is_complete ? "" : ", not all there") + "\n";
  }
  Output out = Output::standard();
  out.write(options.is_json ? json.dump(2) + "\n" : text);
  out.close();
  if (text.empty()) say("no models by name in " + settings.cache + "; -hf USER/MODEL fetches one");
  return 0;
}

int run(const ModelsOptions& options) {
  const hub::Settings settings = hub::settings_of_environment();
  if (options.removed.empty()) return list(options, settings);
  const std::uint64_t n_freed = hub::remove_model(hub::parse_name(options.removed), settings);
  say("removed " + options.removed + "; " + megabytes(n_freed) + " are free again");
  return 0;
}

}  // namespace

Command add_models(Arguments& program) {
  const auto options = std::make_shared<ModelsOptions>();
  Arguments& arguments =
      program.add_command("models", "List or remove models that were fetched by name (-hf)");
  add_text(arguments, "--remove", "REPOSITORY", options->removed,
           "Remove USER/MODEL, or of it USER/MODEL:QUANT");
  arguments.add_flag("--json", options->is_json,
                     "The list as JSON: name, path, bytes, files, complete");
  return {&arguments, [options] { return run(*options); }};
}

}  // namespace gumbelspec::apps::cli
