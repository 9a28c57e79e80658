// llama.cpp's own programs on the same models, prompts, temperatures and seeds.
#ifndef GUMBELSPEC_APPS_BENCH_PEERS_H_
#define GUMBELSPEC_APPS_BENCH_PEERS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/bench/child_process.h"
#include "apps/bench/measure.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec::apps::bench {

struct PeerOptions {
  std::string folder;  // of the programs
  std::string target;  // a path
  std::string draft;   // a path; empty: none
  std::size_t n_context = 0;
  int n_threads = 1;
};

struct PeerRequest {
  std::string prompt;
  SamplingOptions sampling;
  std::uint64_t seed = 0;
  std::size_t n_tokens = 0;
};

// The folder of llama.cpp's programs: the one given, or lib/gumbelspec/peers of this installation.
// Throws: Error{file_not_found}.
[[nodiscard]] std::string peer_folder(const std::string& given);

// One of them with one draft length.
class Peer {
 public:
  virtual ~Peer() = default;
  [[nodiscard]] virtual std::string method() const = 0;  // "llama-server"
  [[nodiscard]] virtual int draft_length() const = 0;    // 0: plain decoding
  [[nodiscard]] std::string shape() const {
    return draft_length() == 0 ? "" : "n=" + std::to_string(draft_length());
  }
  // The counts that the program tells; what it does not is 0. Throws: Error{evaluation_failed}.
  [[nodiscard]] virtual BenchText generate(const PeerRequest& request) = 0;
};

// Draft lengths that are tried.
[[nodiscard]] std::vector<int> peer_draft_lengths();

// Started once, with the first text.
[[nodiscard]] std::unique_ptr<Peer> make_server_peer(const PeerOptions& options, int draft_length);
// One process per text.
[[nodiscard]] std::unique_ptr<Peer> make_simple_peer(const PeerOptions& options, int draft_length);

// What llama-speculative-simple and llama-server say at the end. Empty if it is not there.
[[nodiscard]] std::optional<BenchText> parse_simple_output(std::string_view output);
[[nodiscard]] std::optional<BenchText> parse_server_answer(const std::string& json);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_PEERS_H_
