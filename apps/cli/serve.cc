// gumbelspec serve: the models behind an OpenAI-compatible server.
#include <atomic>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/commands.h"
#include "apps/cli/guarantee.h"
#include "apps/cli/serve_http.h"
#include "apps/cli/serve_options.h"
#include "apps/cli/serve_router.h"
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

constexpr std::chrono::milliseconds kLook{500};

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

// LoRA adapters and control vectors, for what is kept of a model's passes.
std::string adapters_of(const LlamaModelOptions& options) {
  std::string text;
  for (const auto* adapters : {&options.loras, &options.control_vectors}) {
    for (const LlamaAdapter& adapter : *adapters) {
      text += adapter.path + " * " + std::to_string(adapter.scale) + "; ";
    }
  }
  return text;
}

class ServeRun {
 public:
  ServeRun(const Arguments& arguments, const ServeOptions& options);
  int run();

 private:
  void start_http();
  void load();
  void start_service();
  void start_embeddings();
  [[nodiscard]] bool makes_vectors() const { return options_.makes_vectors || options_.ranks; }
  void name(server::ApiModel& model) const;
  void bring_models();
  void wait();
  void put_models_away();
  void set_scales(const std::vector<float>& scales);
  void load_and_start();
  void release_all();
  void release_models();
  void drain();

  const Arguments& arguments_;
  const ServeOptions& options_;
  ModelOptions model_options_;
  Method method_;
  std::vector<std::string> keys_;
  std::string chat_template_;  // empty: the model's
  // Passes go on while requests are being finished, whatever signal has come.
  std::atomic<bool> passes_are_stopped_{false};
  const std::int64_t created_ = static_cast<std::int64_t>(std::time(nullptr));
  // Held while models come and go; then of what follows but for http_.
  std::mutex models_mutex_;
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
  std::unique_ptr<HttpServer> http_;
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
    bring_models();
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

void ServeRun::start_http() {
  server::HttpOptions http = http_options_of(options_, keys_);
  http.wake = [this] { bring_models(); };
  http.set_scales = [this](const std::vector<float>& scales) { set_scales(scales); };
  for (const LlamaAdapter& adapter : model_options_.more.loras) {
    http.adapters.push_back({adapter.path, adapter.scale});
  }
  http_ = listen(std::move(http), !keys_.empty(), metrics_);
}

void ServeRun::load() {
  release_models();
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
  model.created = created_;
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
  service.adapters = adapters_of(model_options_.more);
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
      metrics_.begin_batch();
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

void ServeRun::bring_models() {
  const std::lock_guard lock(models_mutex_);
  load_and_start();
}

void ServeRun::load_and_start() {
  if (makes_vectors()) {
    start_embeddings();
  } else {
    load();
    start_service();
  }
}

void ServeRun::wait() {
  while (!wait_for_stop(kLook)) {
    if (options_.sleep_idle.count() > 0) put_models_away();
  }
}

void ServeRun::release_models() {
  models_.draft.reset();  // it may be a part of the target
  models_.target.reset();
}

// If nobody has used them for so long. Whoever comes meanwhile waits in bring_models().
void ServeRun::put_models_away() {
  const std::lock_guard lock(models_mutex_);
  if (!http_->take_service_after(options_.sleep_idle)) return;
  release_all();
  say("asleep: nothing was asked for " + std::to_string(options_.sleep_idle.count()) +
      " s; the next request loads the models again");
}

// From a request's thread. Nobody uses the service, nor will before this returns.
void ServeRun::set_scales(const std::vector<float>& scales) {
  const std::lock_guard lock(models_mutex_);
  release_all();
  for (std::size_t i = 0; i < scales.size(); ++i) model_options_.more.loras[i].scale = scales[i];
  load_and_start();
}

void ServeRun::release_all() {
  service_.reset();
  embeddings_.reset();
  if (calibrations_) cache_->keep(*calibrations_);
  calibrations_.reset();
  costs_.reset();
  cache_.reset();
  embedder_.reset();
  release_models();
  metrics_.begin_batch();
}

// At most the drain's time and twice that of the last words.
void ServeRun::drain() {
  http_->refuse_requests();
  std::unique_lock lock(models_mutex_);  // a request may just have them loaded
  const bool has_service = service_.has_value();
  lock.unlock();
  if (has_service) {
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
  stop_listening(*http_);
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
            if (options->routes()) return run_router(arguments, *options);
            return ServeRun(arguments, *options).run();
          }};
}

}  // namespace gumbelspec::apps::cli
