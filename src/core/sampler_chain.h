// llama.cpp's less common samplers, in any order, on a list of tokens.
//
// The usual pipeline (log_weights.cc, truncation.cc) is made for speed; where one of these samplers
// is on, or the order is another one, the whole row goes through this chain instead. The samplers
// are llama.cpp's (src/llama-sampler.cpp of v0.5.0), and keep what those keep. Sums are in double
// and in the order of the tokens' weights, so that a row has one result, whoever asks.
#ifndef GUMBELSPEC_CORE_SAMPLER_CHAIN_H_
#define GUMBELSPEC_CORE_SAMPLER_CHAIN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "gumbelspec/noise.h"
#include "gumbelspec/sampling.h"
#include "src/core/repetitions.h"
#include "src/core/sampler_memory.h"

namespace gumbelspec {

class SamplerChain {
 public:
  // Whether options need the chain: without it, they are the usual pipeline's.
  [[nodiscard]] static bool is_needed(const SamplingOptions& options);

  SamplerChain(const SamplingOptions& options, std::size_t n_vocab);

  // row: with biases and the mask, without penalties. key: of the text's noise; xtc's coin is a
  // function of it and of the position. is_of_draft: tokens that are next to impossible are left
  // out at once, which changes what a draft proposes, if anything, and saves most of the work.
  // Shape: row [n_vocab]. Lifetime: until the next call. Cost: sorts the row.
  [[nodiscard]] KeptRow run(std::span<const float> row, const TextView& text, NoiseKey key,
                            bool is_of_draft);

  [[nodiscard]] bool keeps_memory() const { return memory_.has_value(); }
  void forget_text();

 private:
  struct Entry {
    float weight = 0.0F;
    TokenId token{};
  };

  void apply(Sampler sampler, const TextView& text, NoiseKey key);
  void begin(std::span<const float> row, bool is_of_draft);
  [[nodiscard]] KeptRow finish();

  void sort();
  void keep_first(std::size_t n);
  // probabilities_[i] becomes that of entry i.
  void compute_probabilities();
  [[nodiscard]] std::size_t min_keep() const { return static_cast<std::size_t>(options_.min_keep); }

  void penalties(const TextView& text);
  void dry(const TextView& text);
  void top_n_sigma();
  void top_k();
  void typical_p();
  void top_p();
  void min_p();
  void xtc(const TextView& text, NoiseKey key);
  void temperature();
  void mirostat(const SamplerMemory::State& state);
  [[nodiscard]] std::size_t mirostat_rank(double most_surprise) const;
  void adaptive_p(const SamplerMemory::State& state);
  void note_chances();

  SamplingOptions options_;
  std::vector<Sampler> order_;
  std::optional<Repetitions> repetitions_;
  std::optional<SamplerMemory> memory_;
  std::vector<Entry> entries_;
  bool is_sorted_ = false;
  // Tokens that llama.cpp's list still holds with a logit of -infinity, and this one does not: its
  // dynamic temperature counts them.
  std::size_t n_forbidden_ = 0;
  std::vector<double> probabilities_;
  std::vector<std::uint32_t> counts_;       // [n_vocab], 0 between calls
  std::vector<std::uint64_t> masses_;       // of top-p
  std::vector<TokenId> tokens_;             // of the result
  std::vector<float> weights_;              // of the result
  std::vector<float> sorted_weights_;       // scratch
  std::vector<std::uint32_t> by_surprise_;  // scratch of typical-p
  std::vector<double> distances_;           // likewise
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_SAMPLER_CHAIN_H_
