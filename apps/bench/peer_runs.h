// The rows of llama.cpp's own programs in a benchmark.
#ifndef GUMBELSPEC_APPS_BENCH_PEER_RUNS_H_
#define GUMBELSPEC_APPS_BENCH_PEER_RUNS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/bench/peers.h"
#include "apps/bench/summary.h"

namespace gumbelspec::apps::bench {

// llama-server without a draft, and llama-server and llama-speculative-simple with one, each at its
// best draft length.
class PeerRuns {
 public:
  PeerRuns(const PeerOptions& options, const SamplingOptions& sampling,
           std::span<const std::string> prompts, std::function<void()> on_text);

  struct Request {
    float temperature = 1.0F;
    std::span<const std::size_t> prompts;  // indices
    std::size_t run = 0;
    std::uint64_t seed = 1;
    std::size_t n_tokens = 64;
  };

  // Finds the best draft lengths at this temperature. To be called for each before measure().
  void choose(const Request& request);
  // All programs on all prompts, in turns.
  void measure(const Request& request);

  [[nodiscard]] std::vector<BenchRow> rows() const;

  [[nodiscard]] std::size_t n_chosen_texts(std::size_t n_prompts) const {
    return candidates_.size() * n_prompts;
  }
  [[nodiscard]] std::size_t n_measured_texts(std::size_t n_prompts) const {
    return (has_draft_ ? 3U : 1U) * n_prompts;
  }

 private:
  struct Task {
    float temperature = 1.0F;
    std::vector<std::shared_ptr<Peer>> peers;
    std::vector<RunTexts> runs;
  };
  [[nodiscard]] BenchText generate(Peer& peer, const Request& request, std::size_t prompt) const;
  [[nodiscard]] Task& task(float temperature);

  SamplingOptions sampling_;
  std::vector<std::string> prompts_;
  std::function<void()> on_text_;
  bool has_draft_;
  std::shared_ptr<Peer> plain_;
  std::vector<std::shared_ptr<Peer>> candidates_;
  std::vector<Task> tasks_;
};

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_PEER_RUNS_H_
