// From a row of logits to a token: log-weights, then the argmax of log-weight + noise.
//
// One pipeline serves plain decoding, drafting and verifying; the draft applies it to its own
// logits. The order is llama.cpp's: logit bias, penalties, mask, dry, top-n-sigma, top-k,
// typical-p, top-p, min-p, xtc, temperature, adaptive-p; so most look at the distribution before
// the temperature. SamplingOptions::samplers is another order, mirostat takes the place of all but
// the temperature.
#ifndef GUMBELSPEC_SAMPLING_H_
#define GUMBELSPEC_SAMPLING_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "gumbelspec/noise.h"
#include "gumbelspec/types.h"

namespace gumbelspec {

class SamplerChain;
class Truncation;

struct LogitBias {
  TokenId token{};
  float bias = 0.0F;  // added to the logit, nats; -infinity forbids the token
};

// What changes or cuts a row, each with options of its own.
enum class Sampler {
  penalties,
  dry,
  top_n_sigma,
  top_k,
  typical_p,
  top_p,
  min_p,
  xtc,
  temperature,
  adaptive_p,  // the last one wherever it stands
};
// llama.cpp's order.
inline constexpr std::array kDefaultSamplers = {
    Sampler::penalties,   Sampler::dry,       Sampler::top_n_sigma, Sampler::top_k,
    Sampler::typical_p,   Sampler::top_p,     Sampler::min_p,       Sampler::xtc,
    Sampler::temperature, Sampler::adaptive_p};

// Tokens behind which dry looks no further back: the first one, and those that follow it.
// dry_breakers() makes them of texts.
struct DryBreaker {
  TokenId head{};
  std::vector<TokenId> tail = {};
};
// llama.cpp's, where nobody gives others.
inline constexpr std::array<std::string_view, 4> kDryBreakerTexts = {"\n", ":", "\"", "*"};

// llama.cpp's name, "top_n_sigma".
[[nodiscard]] std::string_view to_string(Sampler sampler);
// Also its other spellings: "top-n-sigma", "topnsigma", "nucleus", "temp", "typ_p". Of llama.cpp's
// samplers that are not here ("infill"): nothing. Throws:
// Error{invalid_option} for any other name, field "samplers".
[[nodiscard]] std::optional<Sampler> parse_sampler(std::string_view name);

// Defaults: the model's own distribution.
struct SamplingOptions {
  float temperature = 1.0F;  // >= 0; 0: always the likeliest token, no noise
  int top_k = 0;             // keep the k largest logits; 0: all
  float top_p = 1.0F;        // (0, 1]; keep the smallest set with at least this probability; 1: all
  float min_p = 0.0F;        // [0, 1]; keep tokens with p >= min_p * max p; 0: all
  // Penalties over the last penalty_last_n tokens of the text, prompt included (llama.cpp's).
  float repeat_penalty = 1.0F;     // > 0; divides positive logits, multiplies negative ones; 1: off
  float presence_penalty = 0.0F;   // subtracted once from every token that occurs
  float frequency_penalty = 0.0F;  // subtracted once per occurrence
  int penalty_last_n = 64;         // >= -1; -1: the whole text; 0: off
  std::vector<LogitBias> logit_bias = {};
  // llama.cpp's other samplers: docs/samplers.md. Each keeps at least one token.
  int min_keep = 0;                // >= 0; typical-p, top-p, min-p and xtc leave at least so many
  float top_n_sigma = -1.0F;       // keep logits within so many deviations of the best; <= 0: all
  float typical_p = 1.0F;          // (0, 1]; keep the tokens of most typical surprise; 1: all
  float xtc_probability = 0.0F;    // [0, 1]; how often all likely tokens but the last are left out
  float xtc_threshold = 0.1F;      // [0, 1]; which are likely; above 0.5: off
  float dynatemp_range = 0.0F;     // >= 0; the temperature goes by entropy, so far up and down
  float dynatemp_exponent = 1.0F;  // > 0; how
  // Repetitions: a token that would go on with what stood before gets dry_multiplier *
  // dry_base^(length - dry_allowed_length) less, for repetitions of this length or longer.
  float dry_multiplier = 0.0F;  // >= 0; 0: off
  float dry_base = 1.75F;       // >= 1
  int dry_allowed_length = 2;   // >= 0; tokens
  int dry_penalty_last_n = 64;  // >= -1; tokens that are looked at; -1: the whole text, 0: off
  std::shared_ptr<const std::vector<DryBreaker>> dry_breakers = {};  // null: none
  // 1 or 2: instead of all samplers but the temperature, truncate so that the surprise of the
  // tokens stays near mirostat_tau; 0: off. Source: Basu et al. 2007.14966.
  int mirostat = 0;
  float mirostat_tau = 5.0F;  // >= 0; bits
  float mirostat_eta = 0.1F;  // in [0, 1]; how fast it learns
  // Tokens near this probability are preferred, so that their average stays there.
  float adaptive_target = -1.0F;  // <= 1; below 0: off
  float adaptive_decay = 0.9F;    // in [0, 0.99]; of the average
  // Which samplers, in which order; those that are not among them do nothing. None given:
  // kDefaultSamplers.
  std::optional<std::vector<Sampler>> samplers = {};
};

// Throws: Error{invalid_option} naming the first value outside its limits.
void validate(const SamplingOptions& options);

// The text before a token: what is accepted, then the nodes on the way to it.
struct TextView {
  std::span<const TokenId> accepted;
  std::span<const TokenId> path;

  [[nodiscard]] std::size_t size() const { return accepted.size() + path.size(); }
  [[nodiscard]] TokenId operator[](std::size_t i) const {
    return i < accepted.size() ? accepted[i] : path[i - accepted.size()];
  }
};

// What the pipeline keeps of a row: either all tokens, with forbidden ones at -infinity, or, where
// only a few are left, a list of those. The log-weight of entry i is weights[i] * factor, not
// normalised.
struct KeptRow {
  std::span<const TokenId> tokens = {};  // [n], ascending, of a list; empty: entry i is token i
  std::span<const float> weights = {};   // [n]
  float factor = 1.0F;                   // 1 / temperature, above 0
  bool is_whole = true;

  static KeptRow of(std::span<const float> log_weights) { return {{}, log_weights}; }
  // The longest list: drawing noise for more tokens one by one costs as much as drawing a whole
  // row.
  static constexpr std::size_t most_listed(std::size_t n_vocab) {
    return n_vocab < 2048 ? 64 : n_vocab / 32;
  }

  [[nodiscard]] std::size_t size() const { return weights.size(); }
  [[nodiscard]] TokenId token(std::size_t i) const { return is_whole ? token_id(i) : tokens[i]; }
  // The same row without the tokens n_vocab and above.
  [[nodiscard]] KeptRow below(std::size_t n_vocab) const;
};

// The pipeline with its scratch memory, for rows of one length. It keeps nothing of a text, every
// call is given all the text that it depends on; but for mirostat and adaptive-p, which are
// functions of the rows before, too: with these it remembers how likely the tokens of the text were
// (keeps_memory()), and kept() has to be asked for each position in turn.
class LogWeights {
 public:
  // Throws: Error{invalid_option}.
  LogWeights(SamplingOptions options, std::size_t n_vocab);
  LogWeights(LogWeights&&) noexcept;
  LogWeights& operator=(LogWeights&&) noexcept;
  ~LogWeights();

  // Truncations keep the tokens with the largest logits, and of equal logits those with the smaller
  // ids; they forbid tokens whose logit is not a number. Top-p keeps the fewest tokens whose masses
  // round(2^42 exp(logit - largest)) add up to at least top_p times those of all tokens. The masses
  // are integers so that the order in which they are added does not matter.
  // Shape: logits [n_vocab]; allowed: empty, or a bit per token, least significant first,
  //        [(n_vocab + 31) / 32] words, 0 = forbidden (a grammar's mask).
  // Lifetime: what the result points to lives until the next call, and no longer than `logits`.
  // Requires: if keeps_memory(), a position that was asked before, with the same text before it, or
  //           the one behind the last one asked; the first one after forget_text() may be any.
  // Cost: one read of the row; with top-p two, where a few tokens have most of the probability.
  [[nodiscard]] KeptRow kept(std::span<const float> logits, const TextView& text,
                             std::span<const std::uint32_t> allowed = {});

  // The same for a row of the draft. If its truncation differs, that only costs accepted tokens, so
  // top-k, top-p and min-p are skipped where they would keep many tokens of a large vocabulary,
  // mirostat is left out, and adaptive-p takes the average for what it is to be.
  [[nodiscard]] KeptRow kept_of_draft(std::span<const float> logits, const TextView& text,
                                      std::span<const std::uint32_t> allowed = {});

  // As kept(), but always with an entry for every token.
  // Returns: [n_vocab] log-weights, not normalised; -infinity = forbidden. They may be `logits`
  // itself.
  std::span<const float> operator()(std::span<const float> logits, const TextView& text,
                                    std::span<const std::uint32_t> allowed = {});

  // The key of the text's noise, of which xtc's coins are a function. score() says it.
  void set_key(NoiseKey key) { key_ = key; }

  [[nodiscard]] const SamplingOptions& options() const { return options_; }
  // Whether a row's result depends on the rows before.
  [[nodiscard]] bool keeps_memory() const;
  // Another text begins.
  void forget_text();
  // Whether tokens are drawn at random; at temperature 0 there is no noise.
  [[nodiscard]] bool uses_noise() const { return options_.temperature > 0.0F; }

 private:
  KeptRow kept_of(std::span<const float> logits, const TextView& text,
                  std::span<const std::uint32_t> allowed, bool is_of_draft);
  KeptRow truncated(std::span<const float> row, bool is_of_draft);
  std::span<const float> prepared(std::span<const float> logits, const TextView& text,
                                  std::span<const std::uint32_t> allowed);
  void apply_penalties(const TextView& text);

  SamplingOptions options_;
  NoiseKey key_ = {};
  bool has_penalties_ = false;
  float least_ratio_ = 0.0F;                // log of min_p
  std::vector<float> weights_;              // [n_vocab]
  std::unique_ptr<Truncation> truncation_;  // null: none is set
  std::vector<std::uint32_t> counts_;       // [n_vocab], occurrences in the window; 0 between calls
  std::unique_ptr<SamplerChain> chain_;     // instead of penalties and truncation; null: not needed
};

// What the target takes at a position, and by how much.
struct Choice {
  TokenId token{};
  TokenId runner_up{};  // the same as token where only one token is allowed
  float score = 0.0F;   // log-weight + noise of the token
  float margin = 0.0F;  // score minus the runner-up's; infinity where there is none
};

// argmax_v log_weights[v] + noise[v]; of equal scores, the one of the smaller id.
// Shape: both [n]; noise may be empty (temperature 0), and longer than log_weights.
// Throws: Error{no_token_allowed} if no score is above -infinity.
// Source: Gumbel 1954; Maddison et al. 1411.0030 (the Gumbel-max trick).
[[nodiscard]] Choice choose(std::span<const float> log_weights, std::span<const float> noise);
// The same for what is kept of a row; noise[i] belongs to entry i.
[[nodiscard]] Choice choose(const KeptRow& row, std::span<const float> noise);

struct Candidate {
  TokenId token{};
  float score = 0.0F;      // log-weight + noise
  float log_value = 0.0F;  // log softmax(score / tau): the estimated chance of being the choice
};

// Moments of the scores under softmax(score / tau), relative to the best score. A fit of tau needs
// them: the derivative of log softmax(score / tau)(v) with respect to 1 / tau is
// score(v) - best - mean.
struct ScoreMoments {
  float mean = 0.0F;      // <= 0
  float variance = 0.0F;  // >= 0
};

// The children worth drafting: the out.size() tokens of the highest scores, best first.
// Shape: as choose(). Returns: how many were found (fewer if fewer tokens are allowed).
// Requires: tau > 0; moments may be null. Source: Jang et al. 1611.01144 (Gumbel-softmax).
[[nodiscard]] std::size_t best_candidates(std::span<const float> log_weights,
                                          std::span<const float> noise, float tau,
                                          std::span<Candidate> out,
                                          ScoreMoments* moments = nullptr);
[[nodiscard]] std::size_t best_candidates(const KeptRow& row, std::span<const float> noise,
                                          float tau, std::span<Candidate> out,
                                          ScoreMoments* moments = nullptr);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_SAMPLING_H_
