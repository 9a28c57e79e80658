// The options of `gumbelspec serve`.
#ifndef GUMBELSPEC_APPS_CLI_SERVE_OPTIONS_H_
#define GUMBELSPEC_APPS_CLI_SERVE_OPTIONS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli/planner_options.h"
#include "apps/common/model_options.h"
#include "apps/server/service/request_log.h"
#include "gumbelspec/llama_embedder.h"
#include "gumbelspec/method.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec::apps::cli {

struct ServeOptions {
  ModelOptions models;
  // "model" of the answers is the first of these by the alphabet; empty: the target's file name.
  std::vector<std::string> aliases;
  std::vector<std::string> tags;  // for /v1/models
  SamplingOptions sampling;       // what requests leave out
  std::optional<std::uint64_t> seed;
  std::size_t n_predict = 0;  // 0: what the context holds
  std::optional<Method> method;
  PlannerOptions planner;
  std::string chat_template;  // Jinja; empty: the model's
  std::string chat_template_file;
  std::string reasoning_format = "auto";  // of chats
  std::int64_t reasoning_budget = -1;     // tokens; -1: any number
  std::optional<bool> thinks;             // none: as the template does by itself
  bool is_strict = false;                 // unknown fields are refused
  bool makes_vectors = false;             // instead of texts
  bool ranks = false;                     // likewise, documents by a query
  std::optional<Pooling> pooling;
  std::size_t n_parallel = 4;
  std::size_t n_cached = 0;  // past texts besides
  std::size_t n_queue = 64;
  std::size_t n_batch = 256;   // prompt tokens between two rounds
  std::size_t max_gap_ms = 0;  // of a round; 0: by the number of texts
  bool reuses_prefixes = true;
  std::string host = "127.0.0.1";  // several: separated by commas
  int port = 8080;
  std::string prefix;  // before all paths
  bool has_page = true;
  bool has_slots = true;
  bool has_metrics = true;
  std::string slot_folder;
  std::string api_keys;  // separated by commas
  std::string api_key_file;
  std::string ssl_cert_file;
  std::string ssl_key_file;
  std::string cors_origin;
  std::vector<std::string> allowed_hosts;
  std::chrono::seconds io_timeout{60};
  std::chrono::seconds request_timeout{0};  // 0: none
  std::chrono::seconds drain_timeout{10};
  std::chrono::seconds sleep_idle{0};  // without requests, until the models are put away; 0: never
  server::LogFormat log_format = server::LogFormat::text;
  std::string models_folder;   // of several models; empty: none
  std::string models_presets;  // likewise, a file
  std::size_t max_models = 4;  // loaded at once; 0: any number
  bool loads_models = true;    // that requests name
  bool prints_docs = false;
  [[nodiscard]] bool routes() const { return !models_folder.empty() || !models_presets.empty(); }
};

void add_serve_options(Arguments& arguments, ServeOptions& options);

// What is wrong with them together. Throws: Error{invalid_option}.
void check(const ServeOptions& options);

// The tables of docs/server.md, Markdown: the options of the command, endpoints, request fields,
// metrics.
[[nodiscard]] std::string serve_docs(const Arguments& arguments);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_SERVE_OPTIONS_H_
