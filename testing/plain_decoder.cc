#include "testing/plain_decoder.h"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "testing/reference.h"

namespace gumbelspec::testing {
namespace {

TokenId choose_plainly(std::span<const float> logits, std::span<const TokenId> text,
                       const SamplingOptions& sampling, NoiseKey key) {
  const std::vector<double> p = reference_probabilities(logits, sampling, text);
  TokenId best{};
  double best_score = -std::numeric_limits<double>::infinity();
  for (std::size_t v = 0; v < p.size(); ++v) {
    if (!(p[v] > 0.0)) continue;
    double score = std::log(p[v]);
    if (sampling.temperature > 0.0F) {
      score += static_cast<double>(noise_at(key, position_after(text.size()), token_id(v)));
    }
    if (score <= best_score) continue;
    best = token_id(v);
    best_score = score;
  }
  return best;
}

}  // namespace

std::vector<TokenId> decode_plainly(LanguageModel& target, std::span<const TokenId> prompt,
                                    const SamplingOptions& sampling, NoiseKey key, std::size_t n) {
  const SeqId seq = target.open();
  std::vector<TokenId> text(prompt.begin(), prompt.end());
  if (target.extend(seq, prompt.first(prompt.size() - 1)) != PassOutcome::ok) {
    throw std::runtime_error("decode_plainly: the prompt");
  }
  while (text.size() < prompt.size() + n) {
    const PassNode node{seq, kCommitted, text.back(), true};
    if (target.evaluate({&node, 1}) != PassOutcome::ok) {
      throw std::runtime_error("decode_plainly: a pass");
    }
    const TokenId token = choose_plainly(target.row(0), text, sampling, key);
    const PendingId pending{0};
    target.commit(seq, {&pending, 1});
    if (target.is_end(token)) break;
    text.push_back(token);
  }
  target.close(seq);
  text.erase(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(prompt.size()));
  return text;
}

}  // namespace gumbelspec::testing
