#include "apps/bench/peer_runs.h"

#include <algorithm>
#include <map>
#include <utility>

namespace gumbelspec::apps::bench {

PeerRuns::PeerRuns(const PeerOptions& options, const SamplingOptions& sampling,
                   std::span<const std::string> prompts, std::function<void()> on_text)
    : sampling_(sampling),
      prompts_(prompts.begin(), prompts.end()),
      on_text_(std::move(on_text)),
      has_draft_(!options.draft.empty()),
      plain_(make_server_peer(options, 0)) {
  if (!has_draft_) return;
  for (const int length : peer_draft_lengths()) {
    candidates_.push_back(make_server_peer(options, length));
    candidates_.push_back(make_simple_peer(options, length));
  }
}

BenchText PeerRuns::generate(Peer& peer, const Request& request, std::size_t prompt) const {
  PeerRequest text;
  text.prompt = prompts_[prompt];
  text.sampling = sampling_;
  text.sampling.temperature = request.temperature;
  text.seed = text_seed(request.seed, request.run, prompt);
  text.n_tokens = request.n_tokens;
  BenchText result = peer.generate(text);
  on_text_();
  return result;
}

PeerRuns::Task& PeerRuns::task(float temperature) {
  const auto found = std::find_if(tasks_.begin(), tasks_.end(),
                                  [&](const Task& t) { return t.temperature == temperature; });
  if (found != tasks_.end()) return *found;
  tasks_.push_back({temperature, {plain_}, {}});
  return tasks_.back();
}

void PeerRuns::choose(const Request& request) {
  struct Best {
    std::shared_ptr<Peer> peer;
    double speed = -1.0;
  };
  std::map<std::string, Best> best;
  for (const std::shared_ptr<Peer>& peer : candidates_) {
    double n_tokens = 0.0;
    double seconds = 0.0;
    for (const std::size_t prompt : request.prompts) {
      const BenchText text = generate(*peer, request, prompt);
      n_tokens += static_cast<double>(text.statistics.n_generated);
      seconds += text.statistics.decode_s;
    }
    const double speed = seconds > 0.0 ? n_tokens / seconds : 0.0;
    Best& leader = best[peer->method()];
    if (speed > leader.speed) leader = {peer, speed};
  }
  for (const auto& [method, leader] : best) task(request.temperature).peers.push_back(leader.peer);
}

void PeerRuns::measure(const Request& request) {
  candidates_.clear();  // those that were not chosen end here
  Task& current = task(request.temperature);
  RunTexts run(current.peers.size());
  for (std::size_t i = 0; i < request.prompts.size(); ++i) {
    for (std::size_t k = 0; k < current.peers.size(); ++k) {
      const std::size_t p = (k + i + request.run) % current.peers.size();
      run[p].push_back(generate(*current.peers[p], request, request.prompts[i]));
    }
  }
  current.runs.push_back(std::move(run));
}

std::vector<BenchRow> PeerRuns::rows() const {
  std::vector<BenchRow> rows;
  for (const Task& task : tasks_) {
    for (std::size_t p = 0; p < task.peers.size(); ++p) {
      BenchRow row = row_of(task.peers[p]->method(), task.peers[p]->shape(), p, task.runs);
      if (row.n_runs == 0) continue;
      row.temperature = task.temperature;
      row.is_peer = true;
      // Not told.
      row.n_draft_passes.reset();
      row.target_ms.reset();
      row.draft_ms.reset();
      row.own_ms.reset();
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace gumbelspec::apps::bench
