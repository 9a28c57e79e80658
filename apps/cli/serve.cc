// gumbelspec serve: the models behind an OpenAI-compatible server.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/commands.h"
#include "apps/cli/guarantee.h"
#include "apps/cli/serve_options.h"
#include "apps/common/load_embedder.h"
#include "apps/common/load_options.h"
#include "apps/common/method_option.h"
#include "apps/common/model_sampling.h"
#include "apps/common/prompt.h"
#include "apps/common/sampling_options.h"
#include "apps/common/stop_signals.h"
#include "apps/common/utf8_stream.h"
#include "apps/server/http/http_server.h"

namespace gumbelspec::apps::cli {
namespace {

using server::Clock;
using server::HttpServer;
using server::Metrics;
using server::Service;

// What is left for the last events to be written, and for connections to be closed.
constexpr std::chrono::seconds kLastWords{1};
constexpr std::chrono::milliseconds kLook{500};

std::vector<std::string> keys_of(const ServeOptions& options) {
  std::vector<std::string> keys;
  std::string rest = options.api_keys;
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    keys.push_back(rest.substr(0, comma));
    rest.erase(0, comma + 1);
  }
  if (options.api_key_file.empty()) return keys;
  const auto more = server::keys_of_lines(read_file(options.api_key_file));
  if (more.empty()) {
    throw bad_option("--api-key-file " + in_quotes(options.api_key_file) +
                     " has no key; write one per line");
  }
  keys.insert(keys.end(), more.begin(), more.end());
  return keys;
}

// Jinja; empty: the model's. Read and checked before anything is loaded.
std::string chat_template_of(const ServeOptions& options) {
  const bool is_file = !options.chat_template_file.empty();
  std::string source = is_file ? read_file(options.chat_template_file) : options.chat_template;
  const std::string option = is_file
                                 ? "--chat-template-file " + in_quotes(options.chat_template_file)
                                 : std::string("--chat-template");
  if (is_file && source.empty()) throw bad_option(option + " is empty; give a file with Jinja");
  const std::string why = server::ChatTemplate(source, "", "").why_unreadable();
  if (!why.empty()) {
    throw bad_option(option + " is not one that llama.cpp's Jinja engine reads (" + visible(why) +
                     "); mend it");
  }
  return source;
}

class ServeRun {
 public:
  ServeRun(const Arguments& arguments, const ServeOptions& options);
  int run();

 private:
  [[nodiscard]] server::HttpOptions http_options();
  void start_http();
  void load();
  void start_service();
  void start_embeddings();
  [[nodiscard]] bool makes_vectors() const { return options_.makes_vectors || options_.ranks; }
  void name(server::ApiModel& model) const;
  void wait();
  void drain();

  const Arguments& arguments_;
  const ServeOptions& options_;
  ModelOptions model_options_;
  Method method_;
  std::vector<std::string> keys_;
  std::string chat_template_;  // empty: the model's
  // Passes go on while requests are being finished, whatever signal has come.
  std::atomic<bool> passes_are_stopped_{false};
  std::mutex log_mutex_;
  Progress progress_;
  Metrics metrics_;
  Models models_;
  std::optional<CostCache> cache_;
  std::shared_ptr<CostModel> costs_;
  std::shared_ptr<CalibrationStore> calibrations_;
  std::unique_ptr<LlamaEmbedder> embedder_;  // instead of the models
  std::optional<server::EmbeddingService> embeddings_;
  std::optional<Service> service_;
  // Last: its threads use the others.
  std::optional<HttpServer> http_;
};

// Everything that can be wrong without the models is found before they are loaded.
ServeRun::ServeRun(const Arguments& arguments, const ServeOptions& options)
    : arguments_(arguments),
      options_(options),
      model_options_(with_demo_pair(options.models)),
      method_(method_for(bounded_method(options.method, options.planner), model_options_)),
      keys_(keys_of(options)),
      chat_template_(chat_template_of(options)),
      metrics_(options.n_parallel) {
  check(options);
  check_named_model(options.planner, model_options_);
  model_options_.n_sequences = options.n_parallel + options.n_cached;
  model_options_.n_draft_sequences = model_options_.n_sequences;
  if (!model_options_.n_snapshots) {
    model_options_.n_snapshots = default_snapshots(options.n_parallel);
  }
  model_options_.is_cancelled = [this] { return passes_are_stopped_.load(); };
}

int ServeRun::run() {
  start_http();
  try {
    if (makes_vectors()) {
      start_embeddings();
    } else {
      load();
      start_service();
    }
    wait();
  } catch (const Stopped&) {
    // While the models were being loaded: there is nothing to finish.
  }
  drain();
  // Nobody learns any more.
  http_.reset();
  service_.reset();
  embeddings_.reset();
  if (calibrations_) cache_->keep(*calibrations_);  // a signal may come before there are any
  say("stopped");
  return 0;
}

server::HttpOptions ServeRun::http_options() {
  server::HttpOptions http;
  http.host = options_.host;
  http.port = options_.port;
  http.io_timeout = options_.io_timeout;
  http.keys = server::ApiKeys(keys_);
  http.origins = {options_.cors_origin, options_.allowed_hosts};
  for (const std::string& host : server::listed_hosts(options_.host)) {
    http.origins.hosts.push_back(host);
  }
  http.prefix = options_.prefix;
  http.has_page = options_.has_page;
  http.has_slots = options_.has_slots;
  http.has_metrics = options_.has_metrics;
  http.ssl_cert_file = options_.ssl_cert_file;
  http.ssl_key_file = options_.ssl_key_file;
  http.log_format = options_.log_format;
  // Lines of several threads, each whole.
  http.log = [this](const std::string& line) {
    const std::lock_guard lock(log_mutex_);
    std::cerr << line << std::endl;
  };
  return http;
}

void ServeRun::start_http() {
  const StopSignalsBlocked blocked;
  http_.emplace(http_options(), metrics_);
  say("listening on " + http_->url());
  for (const std::string& host : server::listed_hosts(options_.host)) {
    if (server::is_loopback(host) || !keys_.empty()) continue;
    say("warning: anybody who can reach " + host +
        " can use this server; give it a key with --api-key-file, or listen on 127.0.0.1");
  }
}

void ServeRun::load() {
  models_ = load_models(model_options_, method_.drafts(), progress_);
  method_ = possible_method_told(method_, models_);
  tell_broken_guarantee(*models_.target);
  tell_what_follows(model_options_.more);
  cache_.emplace(cost_cache_of(models_, model_options_, options_.planner));
  costs_ = costs_for(method_, models_, *cache_, progress_);
  calibrations_ = cache_->calibrations();
}

// What is so whatever the model does.
void ServeRun::name(server::ApiModel& model) const {
  const std::string file = std::filesystem::path(model_options_.target).stem().string();
  model.aliases = options_.aliases;
  model.id = options_.aliases.empty() ? file : options_.aliases.front();
  model.tags = options_.tags;
  model.path = model_options_.target;
  model.n_slots = options_.n_parallel;
  model.created = static_cast<std::int64_t>(std::time(nullptr));
  model.refuses_unknown_fields = options_.is_strict;
}

// Nothing is generated: the service answers what is asked of the model, its engine is idle.
void ServeRun::start_embeddings() {
  const Pooling pooling =
      options_.ranks ? Pooling::rank : options_.pooling.value_or(Pooling::model);
  const std::size_t max_tokens = arguments_.is_given("-b") ? options_.n_batch : 0;
  embedder_ = load_embedder(model_options_, pooling, max_tokens, progress_);
  tell_what_follows(model_options_.more);
  server::ApiModel model = server::make_api_model(*embedder_);
  name(model);
  const std::string told = "ready: " + visible(model.id) + ", " +
                           (embedder_->pooling() == Pooling::rank ? "ranks" : "vectors") +
                           " of texts of up to " + std::to_string(embedder_->max_tokens()) +
                           " tokens, pooling " + to_string(embedder_->pooling());
  server::ServiceOptions service;
  service.n_active = options_.n_parallel;
  const StopSignalsBlocked blocked;
  embeddings_.emplace(model, server::make_embedding_model(*embedder_), options_.n_queue, metrics_);
  http_->set_embeddings(*embeddings_);
  service_.emplace(std::move(model), server::make_idle_engine(), std::move(service), metrics_);
  http_->set_service(*service_);
  say(told);
}

void ServeRun::start_service() {
  server::ApiModel model = server::make_api_model(*models_.target, chat_template_);
  name(model);
  model.seed = options_.seed;
  model.max_tokens = options_.n_predict;
  model.is_verbose = model_options_.is_verbose;
  model.method = method_;
  model.guarantee = options_.planner.guarantee.value_or(Guarantee::seed);
  model.has_draft = models_.draft != nullptr;
  model.keeps_seed = models_.target->guarantee().holds;
  model.sampling = options_.sampling;
  take_model_sampling(arguments_, *models_.target, model.sampling);
  model.dry_breakers = dry_breaker_texts(arguments_);
  model.reasoning_format = options_.reasoning_format;
  model.reasoning_budget = options_.reasoning_budget;
  model.thinks = options_.thinks;
  if (const std::string& why = model.chat_template->why_unreadable(); !why.empty()) {
    say("warning: llama.cpp's Jinja engine cannot read the model's chat template (" + visible(why) +
        "); /v1/chat/completions will refuse, /v1/completions works; give another with "
        "--chat-template-file");
  }
  BatchOptions batch;
  batch.max_active = options_.n_parallel;
  batch.prompt_tokens_per_round = options_.n_batch;
  batch.max_gap_ms = static_cast<double>(options_.max_gap_ms);
  batch.costs = costs_;
  batch.calibrations = calibrations_;
  batch.reuses_prefixes = options_.reuses_prefixes;
  server::ServiceOptions service;
  service.n_active = options_.n_parallel;
  service.n_waiting = options_.n_queue;
  service.request_timeout = options_.request_timeout;
  service.slot_folder = options_.slot_folder;
  service.on_failure = [](const std::string& what) {
    say("internal error: " + visible(what) + "; please report it");
  };
  const std::string told = "ready: " + visible(model.id) + ", " +
                           std::to_string(options_.n_parallel) + " texts at once of up to " +
                           std::to_string(model.n_context) + " tokens, method " +
                           to_string(method_);
  const StopSignalsBlocked blocked;
  const auto make_engine = [this, batch] {
    return server::make_batch_engine(*models_.target, models_.drafting(), batch);
  };
  if (!model_options_.rpc_servers.empty()) {
    service.on_loss = [](const std::string& what) { say(visible(what)); };
    service.make_engine = [this, make_engine] {
      models_.target->restore();
      if (models_.draft != nullptr) models_.draft->restore();
      say("ready again: the models have been loaded anew");
      return make_engine();
    };
  }
  auto engine = make_engine();
  service_.emplace(std::move(model), std::move(engine), std::move(service), metrics_);
  http_->set_service(*service_);
  say(told);
}

void ServeRun::wait() {
  while (!wait_for_stop(kLook)) {
  }
}

// At most the drain's time and twice that of the last words.
void ServeRun::drain() {
  http_->refuse_requests();
  if (service_) {
    service_->scheduler().stop_accepting();
    const std::size_t n_texts = service_->scheduler().n_texts();
    if (n_texts > 0) {
      say("stopping: " + std::to_string(n_texts) + " texts under way get " +
          std::to_string(options_.drain_timeout.count()) + " s to finish");
    }
    if (!http_->wait_until_quiet(Clock::now() + options_.drain_timeout)) {
      service_->scheduler().end_all();
      passes_are_stopped_ = true;
      (void)http_->wait_until_quiet(Clock::now() + kLastWords);
    }
  }
  if (http_->stop(Clock::now() + kLastWords)) return;
  // A thread writes to a client that does not read; there is nothing left to lose.
  say("stopped");
  std::cerr << std::flush;
  ::_exit(0);
}

}  // namespace

Command add_serve(Arguments& program) {
  const auto options = std::make_shared<ServeOptions>();
  Arguments& arguments = program.add_command("serve", "Serve the models to OpenAI's clients");
  add_serve_options(arguments, *options);
  return {&arguments, [&arguments, options] {
            if (options->prints_docs) {
              Output out = Output::standard();
              out.write(serve_docs(arguments));
              out.close();
              return 0;
            }
            return ServeRun(arguments, *options).run();
          }};
}

}  // namespace gumbelspec::apps::cli
