#include "apps/bench/peers.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "apps/bench/prompts.h"
#include "apps/common/report.h"
#include "apps/common/stop_signals.h"
#include "apps/common/utf8_stream.h"
#include "gumbelspec/error.h"

namespace gumbelspec::apps::bench {
namespace {

namespace fs = std::filesystem;

constexpr const char* kServer = "llama-server";
constexpr const char* kSimple = "llama-speculative-simple";
constexpr std::chrono::seconds kStartLimit{180};
constexpr std::chrono::milliseconds kPoll{100};
constexpr int kSimpleTries = 5;

std::string number(double value) { return formatted("%.9g", value); }

std::vector<std::string> model_arguments(const PeerOptions& o, const char* program, int length) {
  std::vector<std::string> arguments = {
      o.folder + "/" + program,   "-m", o.target, "-t", std::to_string(o.n_threads), "-c",
      std::to_string(o.n_context)};
  if (length > 0) {
    for (const std::string& argument :
         {std::string("-md"), o.draft, std::string("-td"), std::to_string(o.n_threads),
          std::string("--spec-type"), std::string("draft-simple"),
          std::string("--spec-draft-n-max"), std::to_string(length)}) {
      arguments.push_back(argument);
    }
  }
  return arguments;
}

[[noreturn]] void fail(const std::string& program, const std::string& what) {
  throw Error(ErrorCode::evaluation_failed,
              program + " " + what + "; leave --peers out, or run it by hand to see why");
}

// The number behind the last occurrence of the label; nullopt if it is not there.
std::optional<double> number_after(std::string_view text, std::string_view label) {
  const std::size_t at = text.rfind(label);
  if (at == std::string_view::npos) return std::nullopt;
  const std::size_t begin = text.find_first_of("0123456789", at + label.size());
  if (begin == std::string_view::npos) return std::nullopt;
  return std::atof(std::string(text.substr(begin, 32)).c_str());
}

BenchText text_of(double n_tokens, double seconds, double n_drafted, double n_accepted) {
  BenchText text;
  Statistics& s = text.statistics;
  s.n_generated = static_cast<std::size_t>(n_tokens);
  s.decode_s = seconds;
  s.n_drafted = static_cast<std::size_t>(n_drafted);
  s.n_accepted = static_cast<std::size_t>(n_accepted);
  // Each pass gives one token that was not drafted.
  s.n_target_passes = s.n_generated - std::min(s.n_generated, s.n_accepted);
  s.n_rounds = s.n_target_passes;
  return text;
}

class SimplePeer final : public Peer {
 public:
  SimplePeer(const PeerOptions& options, int draft_length)
      : options_(options), draft_length_(draft_length) {}
  [[nodiscard]] std::string method() const override { return kSimple; }
  [[nodiscard]] int draft_length() const override { return draft_length_; }

  BenchText generate(const PeerRequest& request) override {
    std::vector<std::string> arguments = model_arguments(options_, kSimple, draft_length_);
    const SamplingOptions& s = request.sampling;
    for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
             {"-p", request.prompt},
             {"-n", std::to_string(request.n_tokens)},
             {"--seed", std::to_string(request.seed % 4294967295U)},
             {"--temp", number(static_cast<double>(s.temperature))},
             {"--top-k", std::to_string(s.top_k)},
             {"--top-p", number(static_cast<double>(s.top_p))},
             {"--min-p", number(static_cast<double>(s.min_p))}}) {
      arguments.push_back(name);
      arguments.push_back(value);
    }
    // Its log is written by a thread that nobody waits for at the end, so the end may be missing.
    for (int i = 0; i < kSimpleTries; ++i) {
      const ChildResult result = run_child(arguments);
      if (stop_requested()) throw Stopped();
      if (result.exit_code != 0) {
        fail(kSimple, "ended with exit code " + std::to_string(result.exit_code));
      }
      if (const auto text = parse_simple_output(result.output)) return *text;
    }
    fail(kSimple, "printed no speed");
  }

 private:
  PeerOptions options_;
  int draft_length_;
};

class ServerPeer final : public Peer {
 public:
  ServerPeer(const PeerOptions& options, int draft_length)
      : options_(options), draft_length_(draft_length) {}
  [[nodiscard]] std::string method() const override { return kServer; }
  [[nodiscard]] int draft_length() const override { return draft_length_; }

  BenchText generate(const PeerRequest& request) override {
    if (server_ == nullptr) start();
    const SamplingOptions& s = request.sampling;
    const Json body = {{"prompt", request.prompt},
                       {"n_predict", request.n_tokens},
                       {"seed", request.seed % 4294967295U},
                       {"temperature", s.temperature},
                       {"top_k", s.top_k},
                       {"top_p", s.top_p},
                       {"min_p", s.min_p},
                       {"cache_prompt", false}};
    const ChildResult result =
        run_child({"curl", "--silent", "--fail", "--noproxy", "*", "--header",
                   "Content-Type: application/json", "--data-binary", "@-", url("completion")},
                  body.dump());
    if (stop_requested()) throw Stopped();
    if (result.exit_code != 0) {
      fail(kServer, "did not answer (curl's exit code " + std::to_string(result.exit_code) + ")");
    }
    const auto text = parse_server_answer(result.output);
    if (!text) fail(kServer, "told no timings");
    return *text;
  }

 private:
  [[nodiscard]] std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/" + path;
  }

  void start() {
    port_ = free_port();
    std::vector<std::string> arguments = model_arguments(options_, kServer, draft_length_);
    for (const char* argument : {"--host", "127.0.0.1", "-np", "1", "--no-webui", "--port"}) {
      arguments.emplace_back(argument);
    }
    arguments.push_back(std::to_string(port_));
    server_ = std::make_unique<BackgroundChild>(arguments);
    const auto limit = std::chrono::steady_clock::now() + kStartLimit;
    while (run_child({"curl", "--silent", "--fail", "--noproxy", "*", url("health")}).exit_code !=
           0) {
      if (stop_requested()) throw Stopped();
      if (!server_->is_running()) fail(kServer, "ended before it was ready");
      if (std::chrono::steady_clock::now() > limit) fail(kServer, "was not ready in time");
      std::this_thread::sleep_for(kPoll);
    }
  }

  PeerOptions options_;
  int draft_length_;
  int port_ = -1;
  std::unique_ptr<BackgroundChild> server_;
};

}  // namespace

std::string peer_folder(const std::string& given) {
  // share/gumbelspec/../../lib/gumbelspec/peers
  std::string folder = given;
  if (folder.empty()) folder = shared_file("../../lib/gumbelspec/peers");
  std::error_code failure;
  for (const char* program : {kServer, kSimple}) {
    if (!folder.empty() && fs::exists(fs::path(folder) / program, failure)) continue;
    throw Error(ErrorCode::file_not_found,
                std::string(program) + " is not in " +
                    (folder.empty() ? "lib/gumbelspec/peers" : in_quotes(folder)) +
                    "; scripts/llama-cpp-peers builds it and prints the folder to give with "
                    "--peers DIR");
  }
  return fs::absolute(folder, failure).lexically_normal().string();
}

std::vector<int> peer_draft_lengths() { return {1, 2, 4}; }

std::unique_ptr<Peer> make_server_peer(const PeerOptions& options, int draft_length) {
  return std::make_unique<ServerPeer>(options, draft_length);
}
std::unique_ptr<Peer> make_simple_peer(const PeerOptions& options, int draft_length) {
  return std::make_unique<SimplePeer>(options, draft_length);
}

std::optional<BenchText> parse_simple_output(std::string_view output) {
  const std::size_t at = output.rfind("decoded ");
  if (at == std::string_view::npos) return std::nullopt;
  const auto n_tokens = number_after(output.substr(at), "decoded");
  const auto seconds = number_after(output.substr(at), "tokens in");
  const auto n_drafted = number_after(output.substr(at), "n_drafted");
  const auto n_accepted = number_after(output.substr(at), "n_accept ");
  if (!n_tokens || !seconds || !n_drafted || !n_accepted) return std::nullopt;
  return text_of(*n_tokens, *seconds, *n_drafted, *n_accepted);
}

std::optional<BenchText> parse_server_answer(const std::string& json) {
  const Json answer = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object() || !answer.contains("timings")) return std::nullopt;
  const Json& timings = answer["timings"];
  if (!timings.contains("predicted_n") || !timings.contains("predicted_ms")) return std::nullopt;
  return text_of(timings["predicted_n"].get<double>(),
                 timings["predicted_ms"].get<double>() / 1000.0, timings.value("draft_n", 0.0),
                 timings.value("draft_n_accepted", 0.0));
}

}  // namespace gumbelspec::apps::bench
