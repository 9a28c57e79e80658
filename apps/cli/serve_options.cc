#include "apps/cli/serve_options.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <limits>
#include <set>

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

std::vector<std::string> sorted_names(const char* option, const std::string& list) {
  std::set<std::string> names;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    std::string name = list.substr(begin, end - begin);
    name.erase(0, name.find_first_not_of(' '));
    name.erase(name.find_last_not_of(' ') + 1);
    if (name.empty()) {
      throw bad_option(std::string(option) + " has an empty name; give names separated by commas");
    }
    names.insert(std::move(name));
    begin = end + 1;
  }
  return {names.begin(), names.end()};
}

// Characters that mean nothing in a pattern or a URL.
std::string checked_prefix(const std::string& text) {
  const bool is_plain = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '/' || c == '-' || c == '_' || c == '.';
  });
  const bool is_path = text.size() > 1 && text.front() == '/' && text.back() != '/' &&
                       text.find("//") == std::string::npos && is_plain;
  if (text.empty() || is_path) return text;
  throw bad_option("--api-prefix is " + in_quotes(text) +
                   ", but must be like /llm: letters, digits, ., - and _ behind a /, and no / at "
                   "the end");
}

void add_batch_options(Arguments& arguments, ServeOptions& options) {
  add_count(arguments, "--parallel", 1, 64, options.n_parallel,
            "Texts decoded at once, 1 to 64; each has a context of its own (-c) (default: 4)");
  add_count(arguments, "--queue", 0, 1'000'000, options.n_queue,
            "Texts that may wait besides; more are refused with status 429 (default: 64)");
  add_count(
      arguments, "-b,--batch-size", 1, 4096, options.n_batch,
      "Prompt tokens evaluated between two rounds at most; fewer while other texts decode, so "
      "that a round takes about twice as long with them as without (default: 256)");
  add_count(
      arguments, "--max-gap-ms", 1, 3'600'000, options.max_gap_ms,
      "What a round may take by its plan, in milliseconds, pieces of prompts included; a plain "
      "round and 16 tokens of a prompt are always allowed (default: 1.8 plain rounds where "
      "more than two texts are decoded at once, otherwise as long as it pays; for prompts as "
      "long as a plain round, and up to 2 where more texts read than decode)");
  add_count(
      arguments, "--cache-texts", 0, 63, options.n_cached,
      "Past texts whose evaluated tokens are kept besides, for prompts that begin alike; each "
      "takes as much memory as one of --parallel, which keep theirs as long as they are idle "
      "(default: 0)");
  arguments.add_flag(
      "--no-cache-prompt", [&options] { options.reuses_prefixes = false; },
      "Evaluate every prompt anew instead of reusing what past texts have in common with it");
  arguments.add_option(
      "-a,--alias", "NAMES",
      "The model's name in answers; of several, separated by commas, the first by the alphabet, "
      "and "
      "/v1/models tells the others (default: the target's file name)",
      [&options](const std::string& names) { options.aliases = sorted_names("--alias", names); });
  arguments.add_option(
      "--tags", "NAMES", "Words that /v1/models tells of the model, separated by commas",
      [&options](const std::string& names) { options.tags = sorted_names("--tags", names); });
}

void add_embedding_options(Arguments& arguments, ServeOptions& options) {
  arguments.add_flag(
      "--embedding,--embeddings", options.makes_vectors,
      "Make vectors of texts (POST /v1/embeddings) instead of generating any; a text "
      "has at most -b tokens then (default: -c, and no more than 2048)");
  arguments.add_flag("--reranking,--rerank", options.ranks,
                     "Rank documents by a query (POST /v1/rerank) with a model made for it; "
                     "includes --embedding and --pooling rank");
  arguments.add_option("--pooling", "NAME",
                       "With --embedding, what of the vectors of a text's tokens becomes the "
                       "text's: none (each keeps its own), mean, cls, last or rank (default: the "
                       "model's)",
                       [&options](const std::string& name) {
                         try {
                           options.pooling = parse_pooling(name);
                         } catch (const Error& error) {
                           throw bad_option(std::string("--") + error.what());
                         }
                       });
}

void add_router_options(Arguments& arguments, ServeOptions& options) {
  add_text(arguments, "--models-dir", "FOLDER", options.models_folder,
           "Serve the GGUF files of this folder (and of folders in it), each in a process of its "
           "own that is started for the first request that names it");
  add_text(arguments, "--models-preset", "FILE", options.models_presets,
           "The same with the models of an INI file: [NAME] sections with options without their "
           "dashes (model = FILE, c = 4096), [*] for all");
  add_count(arguments, "--models-max", 0, 1000, options.max_models,
            "Models loaded at once; for one more the one goes that was idle longest; 0: any number "
            "(default: 4)");
  arguments.add_flag(
      "--models-autoload", [&options] { options.loads_models = true; },
      "Load models that requests name; this is so without it, too");
  arguments.add_flag(
      "--no-models-autoload", [&options] { options.loads_models = false; },
      "Refuse requests for models that are not loaded; POST /models/load loads them");
}

void add_network_options(Arguments& arguments, ServeOptions& options) {
  add_text(arguments, "--host", "ADDRESSES", options.host,
           "Where to listen, several addresses separated by commas; 0.0.0.0: everywhere; then give "
           "a key; a path that ends with .sock: a Unix socket (default: 127.0.0.1)");
  add_integer(
      arguments, "--port", 0, 65535,
      [&options](std::int64_t n) { options.port = static_cast<int>(n); },
      "Port; 0: any free one, which is told on standard error (default: 8080)");
  arguments.add_option(
      "--api-prefix", "PATH", "What all paths begin with, e.g. /llm (default: nothing)",
      [&options](const std::string& text) { options.prefix = checked_prefix(text); });
  arguments.add_flag(
      "--no-ui,--no-webui", [&options] { options.has_page = false; }, "No page at /");
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
      "--reasoning", "WHEN",
      "Whether models think first whose templates can say so, in chats that do not say it "
      "themselves: on, off or auto (default: auto)",
      [&options](const std::string& text) {
        if (text != "on" && text != "off" && text != "auto") {
          throw bad_option("--reasoning is " + in_quotes(text) + "; give on, off or auto");
        }
        options.thinks.reset();
        if (text != "auto") options.thinks = text == "on";
      });
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
  arguments.add_option("-s,--seed", "N",
                       "Seed of requests that name none; -1: a random one for each (default: -1)",
                       [&options](const std::string& text) {
                         options.seed.reset();
                         if (text != "-1") options.seed = parse_seed(text);
                       });
  add_integer(
      arguments, "-n,--predict,--n-predict", -1, std::numeric_limits<std::int32_t>::max(),
      [&options](std::int64_t n) { options.n_predict = n < 0 ? 0 : static_cast<std::size_t>(n); },
      "Tokens to generate of requests that name no number; -1: as many as the context holds "
      "(default: -1)");
  arguments.add_flag(
      "--no-slots", [&options] { options.has_slots = false; }, "GET /slots answers 501");
  add_text(arguments, "--slot-save-path", "FOLDER", options.slot_folder,
           "Where POST /slots/{id} keeps what slots have evaluated (default: nowhere, 501)");
}

// Options of llama.cpp's server that say here what is so anyway, or cannot be.
void add_peer_options(Arguments& arguments) {
  const auto accept = [&](const char* names, const char* description) {
    arguments
        .add_flag(
            names, [] {}, description)
        .hide();
  };
  accept("--jinja", "Chat templates are always Jinja");
  accept("--metrics", "GET /metrics is there unless --no-metrics says otherwise");
  accept("--slots", "GET /slots is there unless --no-slots says otherwise");
  accept("--props", "GET /props is always there; nothing can be changed through it");
  const auto refuse = [&](const std::string& name, const std::string& why) {
    arguments
        .add_flag(
            name, [name, why] { throw bad_option(name + " is given, but " + why); }, why)
        .hide();
  };
  refuse("--context-shift",
         "a text that lost its beginning would not be its seed's text any more; leave it out, a "
         "full context ends a text");
  const auto refuse_but = [&](const std::string& name, const std::string& off,
                              const std::string& why) {
    arguments
        .add_option(name, "N", why,
                    [=](const std::string& value) {
                      if (value == off) return;
                      throw bad_option(name + " is " + in_quotes(value) + ", but " + why);
                    })
        .hide();
  };
  refuse_but("--cache-ram", "0",
             "past texts are kept in the context alone; give 0, and --cache-texts N for more");
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
  add_integer(
      arguments, "--sleep-idle-seconds", -1, kMostSeconds,
      [&options](std::int64_t n) {
        if (n == 0) {
          throw bad_option(
              "--sleep-idle-seconds is 0, but models that were put away at once would never "
              "answer; give at least 1, or -1 for never");
        }
        options.sleep_idle = std::chrono::seconds(std::max<std::int64_t>(n, 0));
      },
      "Seconds without requests until the models are released; the next request loads them again, "
      "but for GET of /health, /props, /models and /metrics; -1: never (default: -1)");
  arguments.add_option(
      "--log-format", "NAME", "Of the line per request: text or json (default: text)",
      [&options](const std::string& text) {
        if (text != "text" && text != "json") {
          throw bad_option("--log-format is " + in_quotes(text) + "; give text or json");
        }
        options.log_format = text == "json" ? server::LogFormat::json : server::LogFormat::text;
      });
  arguments.add_flag(
      "--no-metrics", [&options] { options.has_metrics = false; }, "GET /metrics answers 501");
  arguments.add_flag("--print-docs", options.prints_docs, "The tables of docs/server.md").hide();
}

}  // namespace

void add_serve_options(Arguments& arguments, ServeOptions& options) {
  add_model_options(arguments, options.models);
  add_batch_options(arguments, options);
  arguments.group_new_options("Texts at once");
  add_embedding_options(arguments, options);
  arguments.group_new_options("Vectors");
  add_router_options(arguments, options);
  arguments.group_new_options("Several models");
  add_network_options(arguments, options);
  arguments.group_new_options("Network");
  add_request_options(arguments, options);
  arguments.group_new_options("Requests");
  add_flow_options(arguments, options);
  arguments.group_new_options("Flow");
  add_peer_options(arguments);
  // What requests leave out.
  add_sampling_options(arguments, options.sampling);
  add_method_option(arguments, options.method);
  arguments.group_new_options("Method");
  add_planner_options(arguments, options.planner);
  arguments.group_new_options("Planner");
}

namespace {

// What is wrong with them where vectors are made.
void check_embedding(const ServeOptions& options) {
  const bool makes_vectors = options.makes_vectors || options.ranks;
  if (options.pooling && !makes_vectors) {
    throw bad_option(std::string("--pooling is ") + to_string(*options.pooling) +
                     ", but goes with --embedding; give both or none");
  }
  if (options.ranks && options.pooling && *options.pooling != Pooling::rank) {
    throw bad_option(std::string("--pooling is ") + to_string(*options.pooling) +
                     ", but --reranking has rank; leave one of them out");
  }
  if (makes_vectors && !options.models.draft.empty()) {
    throw bad_option(
        "-md is given with --embedding, but where nothing is generated nothing is drafted; leave "
        "it out");
  }
}

}  // namespace

void check(const ServeOptions& options) {
  validate(options.sampling);
  check_embedding(options);
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
  std::error_code failure;
  if (!options.slot_folder.empty() &&
      !std::filesystem::is_directory(options.slot_folder, failure)) {
    throw bad_option("--slot-save-path is " + in_quotes(options.slot_folder) +
                     ", which is not a folder; make it, or give another");
  }
  if (options.n_parallel + options.n_cached > kMostTexts) {
    throw bad_option("--parallel and --cache-texts are " +
                     std::to_string(options.n_parallel + options.n_cached) +
                     " together; give at most " + std::to_string(kMostTexts));
  }
}

}  // namespace gumbelspec::apps::cli
