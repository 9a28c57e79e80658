// A model of any vocabulary that answers at once: a few rows of logits that take turns. For texts
// and timings where the rows have real lengths and shapes, and what they mean does not matter.
#ifndef GUMBELSPEC_TESTING_ROW_MODEL_H_
#define GUMBELSPEC_TESTING_ROW_MODEL_H_

#include <cstdint>
#include <span>
#include <vector>

#include "gumbelspec/language_model.h"

namespace gumbelspec::testing {

// Scales of Gumbel-distributed logits. A softmax over many of them at scale s is a
// Poisson-Dirichlet(1 / s) sequence, whose mean entropy is psi(1) - psi(1 - 1 / s) nats if s > 1:
// 2 nats at 5/3, as language models have where they know what follows, whatever the vocabulary.
// Below 1 nearly all tokens are equally likely.
inline constexpr float kPeakedScale = 5.0F / 3.0F;
inline constexpr float kFlatScale = 0.5F;

// out[v] = scale * Gumbel(0, 1), a function of (seed, i, v); the same bits on every machine.
void fill_row(std::uint64_t seed, std::uint32_t i, float scale, std::span<float> out);

// The row after a token t is number t modulo n_rows.
class RowModel final : public LanguageModel {
 public:
  struct Options {
    std::size_t n_vocab = 4096;
    std::uint64_t seed = 1;  // models of one seed have rows in common
    float scale = kPeakedScale;
    // What is added to the common rows: this part of Gumbel noise of this model's own.
    std::uint64_t own_seed = 0;
    float own_share = 0.0F;
    std::size_t n_rows = 16;
  };
  explicit RowModel(const Options& options);

  [[nodiscard]] std::span<const float> row_after(TokenId token) const {
    return rows_[index(token) % rows_.size()];
  }

  [[nodiscard]] const ModelLimits& limits() const override { return limits_; }
  [[nodiscard]] bool is_end(TokenId /*token*/) const override { return false; }
  SeqId open() override { return SeqId{0}; }
  void close(SeqId /*seq*/) override {}
  [[nodiscard]] std::size_t n_committed(SeqId /*seq*/) const override { return n_committed_; }
  PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override;
  PassOutcome evaluate(std::span<const PassNode> nodes) override;
  [[nodiscard]] std::span<const float> row(std::size_t i) const override { return used_.at(i); }
  void commit(SeqId seq, std::span<const PendingId> path) override;
  void truncate(SeqId /*seq*/, std::size_t n) override { n_committed_ = n; }

 private:
  ModelLimits limits_;
  std::vector<std::vector<float>> rows_;      // [n_rows, n_vocab]
  std::vector<std::span<const float>> used_;  // of the last pass
  std::size_t n_committed_ = 0;
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_ROW_MODEL_H_
