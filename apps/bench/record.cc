#include "apps/bench/record.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "apps/bench/measure.h"
#include "apps/common/arguments.h"
#include "apps/common/stop_signals.h"
#include "gumbelspec/noise.h"

namespace gumbelspec::apps::bench {
namespace {

// Children of a node that the widest drafter looks at (gumbel-tree 16, gumbel-beam its width).
constexpr std::size_t kScored = 32;
constexpr float kForbidden = -std::numeric_limits<float>::infinity();

SamplingOptions at_temperature(SamplingOptions sampling, float temperature) {
  sampling.temperature = temperature;
  return sampling;
}

SamplingOptions only_temperature(float temperature) {
  SamplingOptions sampling;
  sampling.temperature = temperature;
  return sampling;
}

float rounded(float weight) { return from_half(to_half(weight)); }

// Mass is counted at the text's temperature; at 0, where nothing is drawn, at 1.
float mass_temperature(float temperature) { return temperature > 0.0F ? temperature : 1.0F; }

// A sequence of a model, closed at the end.
class OpenSequence {
 public:
  explicit OpenSequence(LanguageModel& model) : model_(model), seq_(model.open()) {}
  ~OpenSequence() { model_.close(seq_); }
  OpenSequence(const OpenSequence&) = delete;
  OpenSequence& operator=(const OpenSequence&) = delete;

  void start(std::span<const TokenId> prompt) {
    model_.truncate(seq_, 0);
    check(model_.extend(seq_, prompt.first(prompt.size() - 1)));
  }
  // The logits after one more token. Lifetime: until the next call.
  std::span<const float> read(TokenId token) {
    if (is_pending_) commit();
    const PassNode node{seq_, kCommitted, token, true};
    check(model_.evaluate(std::span(&node, 1)));
    is_pending_ = true;
    return model_.row(0);
  }
  void commit() {
    if (!is_pending_) return;
    const PendingId first = pending_id(0);
    model_.commit(seq_, std::span(&first, 1));
    is_pending_ = false;
  }

 private:
  static void check(PassOutcome outcome) {
    if (outcome == PassOutcome::cancelled || stop_requested()) throw Stopped();
    if (outcome == PassOutcome::no_space) {
      throw Error(ErrorCode::prompt_too_long,
                  "a text of the trace does not fit into a model's context; give shorter prompts, "
                  "a smaller -n or a larger -c");
    }
  }

  LanguageModel& model_;
  SeqId seq_;
  bool is_pending_ = false;
};

// The models with their recorders at one temperature.
class TextRecorder {
 public:
  TextRecorder(LanguageModel& target, LanguageModel& draft, const RecordRequest& request,
               float temperature)
      : target_model_(target),
        target_(target),
        draft_(draft),
        n_context_(std::min(target.limits().n_context, draft.limits().n_context)),
        n_draft_vocab_(draft.limits().n_vocab),
        target_rows_(at_temperature(request.sampling, temperature), target.limits().n_vocab,
                     target.limits().n_vocab, request.n_top),
        draft_rows_(at_temperature(request.sampling, temperature), draft.limits().n_vocab,
                    std::min(draft.limits().n_vocab, target.limits().n_vocab), request.n_top),
        noise_(temperature > 0.0F ? target.limits().n_vocab : 0) {}

  void record(std::span<const TokenId> prompt, std::size_t n_tokens, TraceText& text) {
    text.n_prompt = prompt.size();
    text.tokens.assign(prompt.begin(), prompt.end());
    target_.start(prompt);
    draft_.start(prompt);
    const NoiseKey key{text.seed, text.stream};
    while (text.target.size() < n_tokens && text.tokens.size() < n_context_) {
      const TokenId last = text.tokens.back();
      if (index(last) >= n_draft_vocab_) break;  // the draft cannot follow
      if (!noise_.empty()) fill_noise(key, position_after(text.tokens.size()), noise_);
      const TextView view{text.tokens, {}};
      text.target.push_back(target_rows_.record(target_.read(last), view, noise_, nullptr));
      const TokenId chosen = target_rows_.best();
      text.draft.push_back(draft_rows_.record(draft_.read(last), view, noise_, &chosen));
      text.tokens.push_back(chosen);
      if (target_model_.is_end(chosen)) break;
    }
    target_.commit();
    draft_.commit();
  }

 private:
  LanguageModel& target_model_;
  OpenSequence target_;
  OpenSequence draft_;
  std::size_t n_context_;
  std::size_t n_draft_vocab_;
  RowRecorder target_rows_;
  RowRecorder draft_rows_;
  std::vector<float> noise_;
};

}  // namespace

RowRecorder::RowRecorder(const SamplingOptions& sampling, std::size_t n_vocab, std::size_t n_known,
                         std::size_t n_top)
    : at_one_(at_temperature(sampling, 1.0F), n_vocab),
      weights_(sampling, n_vocab),
      rounded_(only_temperature(sampling.temperature), n_vocab),
      n_known_(n_known),
      n_top_(n_top),
      temperature_(sampling.temperature),
      candidates_(kScored),
      is_kept_(n_vocab),
      dense_(n_vocab) {}

void fill_exact_row(const TraceRow& row, std::span<float> out) {
  std::fill(out.begin(), out.end(), kForbidden);
  for (std::size_t i = 0; i < row.tokens.size(); ++i) out[index(row.tokens[i])] = row.weights[i];
}

void RowRecorder::keep(std::span<const float> weights, const TokenId* chosen) {
  order_.clear();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    is_kept_[i] = 0;
    if (weights[i] > kForbidden) order_.push_back(i);
  }
  const std::size_t n = std::min(n_top_, order_.size());
  std::nth_element(order_.begin(),
                   order_.begin() + static_cast<std::ptrdiff_t>(n) - (n > 0 ? 1 : 0), order_.end(),
                   [&](std::size_t a, std::size_t b) {
                     return weights[a] != weights[b] ? weights[a] > weights[b] : a < b;
                   });
  for (const std::size_t i : std::span(order_).first(n)) is_kept_[i] = 1;
  for (const Candidate& c : candidates_) is_kept_[index(c.token)] = 1;
  if (chosen != nullptr && index(*chosen) < weights.size() &&
      weights[index(*chosen)] > kForbidden) {
    is_kept_[index(*chosen)] = 1;
  }
}

// Float16 has 11 bits: a lead below a thousandth can be lost.
void RowRecorder::keep_best_stay(TraceRow& row, std::span<const float> noise) {
  const auto at = static_cast<std::size_t>(
      std::lower_bound(row.tokens.begin(), row.tokens.end(), best_) - row.tokens.begin());
  for (;;) {
    fill_exact_row(row, dense_);
    const std::span<const float> weights = rounded_(dense_, TextView{});
    if (choose(weights.first(std::min(weights.size(), n_known_)), noise).token == best_) return;
    float& weight = row.weights[at];
    weight = rounded(weight + std::max(std::fabs(weight), 1.0F) / 1024.0F);
  }
}

TraceRow RowRecorder::record(std::span<const float> logits, const TextView& text,
                             std::span<const float> noise, const TokenId* chosen) {
  // What a drafter or a walk would find in the whole row.
  constexpr float kTau = 0.05F;  // the values are not needed; a small tau saves computing them
  candidates_.resize(kScored);
  candidates_.resize(
      best_candidates(weights_(logits, text).first(n_known_), noise, kTau, candidates_));
  if (candidates_.empty()) {
    throw Error(ErrorCode::no_token_allowed, "no token is allowed at a position of the trace");
  }
  best_ = candidates_.front().token;
  const std::span<const float> weights = at_one_(logits, text).first(n_known_);
  keep(weights, chosen);
  const float most = *std::max_element(weights.begin(), weights.end());
  const auto temperature = static_cast<double>(mass_temperature(temperature_));
  TraceRow row;
  double rest = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] > kForbidden)) continue;
    const float weight = weights[i] - most;
    if (is_kept_[i] != 0) {
      row.tokens.push_back(token_id(i));
      row.weights.push_back(rounded(weight));
    } else {
      ++row.n_rest;
      rest += std::exp(static_cast<double>(weight) / temperature);
    }
  }
  if (row.n_rest > 0) {
    row.log_rest = static_cast<float>(std::log(std::max(rest, 1e-300)));
  }
  keep_best_stay(row, noise);
  return row;
}

void record_texts(LanguageModel& target, LanguageModel& draft, const RecordRequest& request,
                  const std::function<void()>& on_text, Trace& trace) {
  for (std::size_t t = 0; t < trace.temperatures.size(); ++t) {
    TextRecorder recorder(target, draft, request, trace.temperatures[t]);
    for (std::size_t run = 0; run < trace.n_runs; ++run) {
      for (std::size_t prompt = 0; prompt < request.prompts.size(); ++prompt) {
        TraceText text;
        text.temperature = t;
        text.prompt = prompt;
        text.run = run;
        text.seed = text_seed(trace.seed, run, prompt);
        recorder.record(request.prompts[prompt], trace.n_tokens, text);
        trace.texts.push_back(std::move(text));
        on_text();
      }
    }
  }
}

}  // namespace gumbelspec::apps::bench
