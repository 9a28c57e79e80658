#include "apps/cli/serve_options.h"

#include <algorithm>
#include <limits>

#include "apps/common/method_option.h"
#include "apps/common/sampling_options.h"
#include "apps/common/utf8_stream.h"
#include "apps/server/http/origins.h"

namespace gumbelspec::apps::cli {
namespace {

constexpr std::size_t kMostTexts = 64;
constexpr std::int64_t kMostSeconds = 1'000'000;

void add_seconds(Arguments& arguments, const std::string& names, std::int64_t low,
                 std::chrono::seconds& value, const std::string& description) {
  add_integer(
      arguments, names, low, kMostSeconds,
      [&value](std::int64_t n) { value = std::chrono::seconds(n); }, description);
}

void add_count(Arguments& arguments, const std::string& names, std::int64_t low, std::int64_t high,
               std::size_t& value, const std::string& description) {
  add_integer(
      arguments, names, low, high,
      [&value](std::int64_t n) { value = static_cast<std::size_t>(n); }, description);
}

void add_batch_options(Arguments& arguments, ServeOptions& options) {
  add_count(arguments, "--parallel", 1, 64, options.n_parallel,
            "Texts decoded at once, 1 to 64; each has a context of its own (-c) (default: 4)");
  add_count(arguments, "--queue", 0, 1'000'000, options.n_queue,
            "Texts that may wait besides; more are refused with status 429 (default: 64)");
  add_count(arguments, "-b,--batch-size", 1, 4096, options.n_batch,
            "Prompt tokens evaluated between two rounds, so that a long prompt does not stall the "
            "other texts (default: 256)");
  add_count(arguments, "--max-gap-ms", 1, 3'600'000, options.max_gap_ms,
            "What a round may take by its plan, in milliseconds; prompts come on top (-b), and a "
            "plain round is always allowed (default: 1.8 plain rounds where more than two texts "
            "are decoded at once, otherwise as long as it pays)");
  add_count(
      arguments, "--cache-texts", 0, 63, options.n_cached,
      "Past texts whose evaluated tokens are kept besides, for prompts that begin alike; each "
      "takes as much memory as one of --parallel, which keep theirs as long as they are idle "
      "(default: 0)");
  arguments.add_flag(
      "--no-cache-prompt", [&options] { options.reuses_prefixes = false; },
      "Evaluate every prompt anew instead of reusing what past texts have in common with it");
  add_text(arguments, "-a,--alias", "NAME", options.alias,
           "The model's name in answers (default: the target's file name)");
}

void add_network_options(Arguments& arguments, ServeOptions& options) {
  add_text(arguments, "--host", "ADDRESS", options.host,
           "Where to listen; 0.0.0.0: everywhere; then give a key (default: 127.0.0.1)");
  add_integer(
      arguments, "--port", 0, 65535,
      [&options](std::int64_t n) { options.port = static_cast<int>(n); },
      "Port; 0: any free one, which is told on standard error (default: 8080)");
  add_text(arguments, "--api-key", "KEYS", options.api_keys,
           "Requests need one of these keys, separated by commas; other users of the machine can "
           "see them, so better use a file (default: none)");
  add_text(arguments, "--api-key-file", "FILE", options.api_key_file, "The same, one key per line");
  add_text(arguments, "--ssl-cert-file", "FILE", options.ssl_cert_file,
           "Serve HTTPS with this certificate, PEM; needs --ssl-key-file");
  add_text(arguments, "--ssl-key-file", "FILE", options.ssl_key_file, "The certificate's key, PEM");
  add_text(
      arguments, "--cors-origin", "ORIGIN", options.cors_origin,
      "Let web pages of this origin use the server; localhost: any page of this machine; *: of "
      "any (default: none)");
  arguments.add_option(
      "--allowed-hosts", "NAMES",
      "What the server may be called besides its addresses and localhost, separated by commas; *: "
      "anything, which lets any web page in whose name points here (default: none)",
      [&options](const std::string& names) { options.allowed_hosts = server::host_names(names); });
}

void add_request_options(Arguments& arguments, ServeOptions& options) {
  add_text(arguments, "--chat-template", "JINJA", options.chat_template,
           "Chat template instead of the model's");
  add_text(arguments, "--chat-template-file", "FILE", options.chat_template_file,
           "The same, from a file");
  arguments.add_option(
      "--reasoning-format", "NAME",
      "Where a model's thinking goes in answers to chats: auto or deepseek (into "
      "reasoning_content), or none (it stays in content) (default: auto)",
      [&options](const std::string& text) {
        if (text != "auto" && text != "deepseek" && text != "deepseek-legacy" && text != "none") {
          throw bad_option("--reasoning-format is " + in_quotes(text) +
                           "; give auto, deepseek, deepseek-legacy or none");
        }
        options.reasoning_format = text;
      });
  add_integer(
      arguments, "--reasoning-budget", -1, std::numeric_limits<std::int32_t>::max(),
      [&options](std::int64_t n) { options.reasoning_budget = n; },
      "Tokens that the thinking may have before it is closed; -1: any number (default: -1)");
  arguments.add_flag("--strict-fields", options.is_strict,
                     "Refuse requests with fields that the server does not know, instead of "
                     "ignoring them; those that would change the text are refused anyway");
  // llama.cpp's servers need it.
  arguments
      .add_flag(
          "--jinja", [] {}, "Chat templates are always Jinja")
      .hide();
}

void add_flow_options(Arguments& arguments, ServeOptions& options) {
  add_seconds(arguments, "--timeout", 1, options.io_timeout,
              "Seconds that a client may keep a read or a write waiting (default: 60)");
  add_seconds(arguments, "--request-timeout", 0, options.request_timeout,
              "Seconds that a request may take, waiting included; 0: as long as it takes "
              "(default: 0)");
  add_seconds(
      arguments, "--drain-timeout", 0, options.drain_timeout,
      "Seconds that requests under way get to finish after the first SIGINT or SIGTERM; the "
      "program ends at most 2 s later (default: 10)");
  arguments.add_option(
      "--log-format", "NAME", "Of the line per request: text or json (default: text)",
      [&options](const std::string& text) {
        if (text != "text" && text != "json") {
          throw bad_option("--log-format is " + in_quotes(text) + "; give text or json");
        }
        options.log_format = text == "json" ? server::LogFormat::json : server::LogFormat::text;
      });
  // llama.cpp's servers need it.
  arguments
      .add_flag(
          "--metrics", [] {}, "GET /metrics is always there")
      .hide();
  arguments.add_flag("--print-docs", options.prints_docs, "The tables of docs/server.md").hide();
}

}  // namespace

void add_serve_options(Arguments& arguments, ServeOptions& options) {
  add_model_options(arguments, options.models);
  add_batch_options(arguments, options);
  arguments.group_new_options("Texts at once");
  add_network_options(arguments, options);
  arguments.group_new_options("Network");
  add_request_options(arguments, options);
  arguments.group_new_options("Requests");
  add_flow_options(arguments, options);
  arguments.group_new_options("Flow");
  // What requests leave out.
  add_sampling_options(arguments, options.sampling);
  add_method_option(arguments, options.method);
  arguments.group_new_options("Method");
  add_planner_options(arguments, options.planner);
  arguments.group_new_options("Planner");
}

void check(const ServeOptions& options) {
  validate(options.sampling);
  if (options.ssl_cert_file.empty() != options.ssl_key_file.empty()) {
    throw bad_option("--ssl-cert-file and --ssl-key-file go together; give both or none");
  }
  if (!options.chat_template.empty() && !options.chat_template_file.empty()) {
    throw bad_option("--chat-template and --chat-template-file are both given; give one of them");
  }
  if (!server::is_origin_rule(options.cors_origin)) {
    throw bad_option(
        "--cors-origin is " + in_quotes(options.cors_origin) +
        ", but must be *, localhost (any page of this machine), or SCHEME://HOST[:PORT] "
        "as browsers send it");
  }
  if (options.n_parallel + options.n_cached > kMostTexts) {
    throw bad_option("--parallel and --cache-texts are " +
                     std::to_string(options.n_parallel + options.n_cached) +
                     " together; give at most " + std::to_string(kMostTexts));
  }
}

}  // namespace gumbelspec::apps::cli
