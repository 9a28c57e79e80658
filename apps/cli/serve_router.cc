#include "apps/cli/serve_router.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "apps/cli/serve_http.h"
#include "apps/common/environment.h"
#include "apps/common/output.h"
#include "apps/common/prompt.h"
#include "apps/common/stop_signals.h"
#include "apps/common/utf8_stream.h"
#include "apps/server/router/child_process.h"
#include "apps/server/router/model_sources.h"

namespace gumbelspec::apps::cli {
namespace {

using server::ModelSource;
using server::Preset;

constexpr std::chrono::milliseconds kLook{500};
constexpr const char* kAll = "*";

// What the router does itself, or gives each process.
constexpr std::array kOwn = {"--models-dir",
                             "--models-preset",
                             "--models-max",
                             "--models-autoload",
                             "--no-models-autoload",
                             "--host",
                             "--port",
                             "--api-prefix",
                             "--no-ui",
                             "--api-key",
                             "--api-key-file",
                             "--ssl-cert-file",
                             "--ssl-key-file",
                             "--cors-origin",
                             "--allowed-hosts",
                             "--alias",
                             "--tags",
                             "--help",
                             "--print-docs"};
// What says which model it is, and cannot be the same for all.
constexpr std::array kOneModel = {"--model",     "--model-draft", "--hf-repo",
                                  "--model-url", "--alias",       "--tags"};

bool is_own(const std::string& name) {
  return std::find(kOwn.begin(), kOwn.end(), name) != kOwn.end();
}

// "--models-dir", whichever of an option's names stands first.
bool has_name(const Option& option, const std::string& name) {
  const std::vector<std::string> names = option.names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Of an option as a file of presets writes it: a name without dashes, or a variable's.
std::optional<Option> find_option(const Arguments& arguments, const std::string& key) {
  for (const Option& option : arguments.options()) {
    if (has_name(option, "--" + key) || has_name(option, "-" + key)) return option;
    const auto variables = variables_of(option.name());
    if (std::find(variables.begin(), variables.end(), key) != variables.end()) return option;
  }
  return {};
}

void append(std::vector<std::string>& to, const std::vector<std::string>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

// What the command was given, environment included, for a process of one model.
std::vector<std::string> inherited(const Arguments& arguments) {
  std::vector<std::string> out;
  for (const Option& option : arguments.options()) {
    const std::string name = option.name();
    if (!option.is_given() || is_own(name)) continue;
    if (!option.takes_value()) {
      out.push_back(name);
    } else if (option.type().find(' ') != std::string::npos) {  // a pair
      out.push_back(name);
      append(out, option.texts());
    } else {
      for (const std::string& text : option.texts()) append(out, {name, text});
    }
  }
  return out;
}

class PresetReader {
 public:
  PresetReader(const Arguments& arguments, const std::string& file)
      : arguments_(arguments), file_(file) {}

  // source gets what the section says of its process.
  void read(const Preset& preset, ModelSource& source) const {
    for (const auto& [key, value] : preset.values) {
      if (key == "load-on-startup") {
        source.loads_at_start = is_switched_on(key, value);
        continue;
      }
      const std::string wanted = key == "stop-timeout" ? "drain-timeout" : key;
      const std::optional<Option> option = find_option(arguments_, wanted);
      if (!option) throw wrong(preset, key, "is no option of serve");
      const std::string name = option->name();
      if (is_own(name)) throw wrong(preset, key, "is the server's, not a model's");
      if (!option->takes_value()) {
        if (is_switched_on(key, value)) source.arguments.push_back(name);
        continue;
      }
      append(source.arguments, {name, value});
      if (name == "--model") source.path = value;
    }
  }

 private:
  [[nodiscard]] Error wrong(const Preset& preset, const std::string& key, const char* why) const {
    return bad_option("--models-preset " + in_quotes(file_) + ": " + in_quotes(key) + " of [" +
                      visible(preset.name) + "] " + why + "; leave it out");
  }

  const Arguments& arguments_;
  const std::string file_;
};

bool names_model(const ModelSource& source) {
  constexpr std::array kNames = {"--model", "--hf-repo", "--model-url"};
  return std::any_of(kNames.begin(), kNames.end(), [&](const char* name) {
    return std::find(source.arguments.begin(), source.arguments.end(), name) !=
           source.arguments.end();
  });
}

std::vector<Preset> presets_of(const ServeOptions& options) {
  if (options.models_presets.empty()) return {};
  try {
    return server::parse_presets(read_file(options.models_presets));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::invalid_option) throw;
    throw bad_option("--models-preset " + in_quotes(options.models_presets) + ": " + error.what());
  }
}

const Preset* find_preset(const std::vector<Preset>& presets, const std::string& name) {
  const auto found = std::find_if(presets.begin(), presets.end(),
                                  [&](const Preset& preset) { return preset.name == name; });
  return found == presets.end() ? nullptr : &*found;
}

}  // namespace

std::vector<ModelSource> model_sources(const Arguments& arguments, const ServeOptions& options) {
  const std::vector<Preset> presets = presets_of(options);
  const PresetReader reader(arguments, options.models_presets);
  std::vector<ModelSource> sources;
  if (!options.models_folder.empty()) {
    for (const auto& file : server::model_files(options.models_folder)) {
      sources.push_back({file.name, file.path, {"--model", file.path}});
    }
  }
  for (const Preset& preset : presets) {
    const bool is_known =
        preset.name == kAll || std::any_of(sources.begin(), sources.end(), [&](const auto& source) {
          return source.name == preset.name;
        });
    if (!is_known) sources.push_back({preset.name, {}, {}});
  }
  const Preset* all = find_preset(presets, kAll);
  const std::vector<std::string> own = inherited(arguments);
  for (ModelSource& source : sources) {
    ModelSource made{source.name, source.path, {"serve"}};
    if (all != nullptr) reader.read(*all, made);
    append(made.arguments, source.arguments);
    if (const Preset* preset = find_preset(presets, source.name)) reader.read(*preset, made);
    if (!names_model(made)) {
      throw bad_option("--models-preset " + in_quotes(options.models_presets) + ": [" +
                       visible(source.name) + "] names no model; give model = FILE or hf-repo");
    }
    if (source.name.find(',') != std::string::npos) {
      throw bad_option("a model is called " + in_quotes(source.name) +
                       ", but names have no commas; call it otherwise");
    }
    append(made.arguments, own);
    append(made.arguments, {"--alias", source.name, "--no-ui"});
    source = std::move(made);
  }
  return sources;
}

namespace {

void check_router(const Arguments& arguments) {
  for (const char* name : kOneModel) {
    if (!arguments.is_given(name)) continue;
    throw bad_option(std::string(name) +
                     " is given with --models-dir or --models-preset, but is one model's; leave it "
                     "out, or write it into a section of --models-preset");
  }
  // GET /models shows the arguments of processes.
  if (arguments.is_given("--hf-token")) {
    throw bad_option(
        "--hf-token is given with several models, whose arguments are no secret; set HF_TOKEN "
        "instead");
  }
}

// Processes get what is for them as arguments.
std::vector<std::string> hidden_variables(const Arguments& arguments) {
  std::vector<std::string> out;
  for (const Option& option : arguments.options()) append(out, variables_of(option.name()));
  for (const char* name : {"AIP_MODE"}) out.emplace_back(name);
  return out;
}

std::string own_program() {
  std::error_code failure;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", failure);
  if (failure || program.empty()) {
    throw bad_option(
        "several models need /proc (Linux) to start this program again; serve one model with -m");
  }
  return program.string();
}

class RouterRun {
 public:
  RouterRun(const Arguments& arguments, const ServeOptions& options)
      : arguments_(arguments), options_(options), keys_(keys_of(options)), metrics_(1) {
    child_.program = own_program();
    child_.hidden_variables = hidden_variables(arguments);
    // Its own time to finish, and as much again as its last words take.
    child_.longest_stop = options.drain_timeout + std::chrono::seconds(30);
    child_.log = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      std::cerr << visible(line) << std::endl;
    };
  }
  int run();

 private:
  void start();

  const Arguments& arguments_;
  const ServeOptions& options_;
  const std::vector<std::string> keys_;
  std::mutex mutex_;
  server::ChildOptions child_;
  server::Metrics metrics_;
  server::SocketFolder sockets_;
  std::unique_ptr<server::Router> router_;
  std::unique_ptr<server::HttpServer> http_;  // last: its threads use the others
};

void RouterRun::start() {
  const auto sources = model_sources(arguments_, options_);
  if (sources.empty()) say("warning: there are no models yet; GET /models?reload=1 looks again");
  const StopSignalsBlocked blocked;
  router_ = std::make_unique<server::Router>(
      server::RouterOptions{options_.max_models, options_.loads_models},
      [this](const ModelSource& source, server::InstanceEvents events) {
        return server::start_child(child_, source, sockets_.next(), std::move(events));
      });
  router_->set_models(sources, /*is_start=*/true);
  server::HttpOptions http = http_options_of(options_, keys_);
  http.router = router_.get();
  http.has_page = false;  // it is one model's
  http.predict_path.clear();
  http.reload_models = [this] { router_->set_models(model_sources(arguments_, options_)); };
  http_ = listen(std::move(http), !keys_.empty(), metrics_);
  say("ready: " + std::to_string(sources.size()) + " models, " +
      (options_.max_models == 0 ? std::string("any number")
                                : "at most " + std::to_string(options_.max_models)) +
      " loaded at once");
}

int RouterRun::run() {
  check_router(arguments_);
  start();
  while (!wait_for_stop(kLook)) {
  }
  http_->refuse_requests();
  router_->stop_accepting();
  (void)http_->wait_until_quiet(server::Clock::now() + options_.drain_timeout);
  stop_listening(*http_);
  http_.reset();
  router_.reset();
  say("stopped");
  return 0;
}

}  // namespace

int run_router(const Arguments& arguments, const ServeOptions& options) {
  check(options);
  return RouterRun(arguments, options).run();
}

}  // namespace gumbelspec::apps::cli
