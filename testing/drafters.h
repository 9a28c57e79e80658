// Drafters that show what the seam can do. None of them can change a text.
#ifndef GUMBELSPEC_TESTING_DRAFTERS_H_
#define GUMBELSPEC_TESTING_DRAFTERS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "gumbelspec/drafter.h"
#include "gumbelspec/sampling.h"
#include "testing/table_model.h"

namespace gumbelspec::testing {

// Proposes the very tokens that the target will say: everything is accepted.
class OracleDrafter final : public Drafter {
 public:
  // Lifetime: the target outlives it. n: tokens per round.
  OracleDrafter(const TableModel& target, const SamplingOptions& sampling, std::size_t n)
      : target_(target), weights_(sampling, target.limits().n_vocab), n_(n) {}
  void begin(DraftRound& round) override;

 private:
  const TableModel& target_;
  LogWeights weights_;
  std::size_t n_;
};

// Proposes anything: now and then what does not exist, or too deep, or twice.
class RandomDrafter final : public Drafter {
 public:
  RandomDrafter(std::size_t n_vocab, std::uint32_t seed) : n_vocab_(n_vocab), state_(seed) {}
  void begin(DraftRound& round) override;

 private:
  std::uint32_t next();

  std::size_t n_vocab_;
  std::uint32_t state_;
};

// Two sources: what followed the last token before, latest first; and the tokens said most often so
// far. Their trees overlap.
class TwoSourceDrafter final : public Drafter {
 public:
  void begin(DraftRound& round) override;

 private:
  std::vector<std::size_t> counts_;  // by token
};

// Remembers the target's last row after each token, and expects it to be the same again: with the
// noise of the new position added.
class LastRowsDrafter final : public Drafter {
 public:
  LastRowsDrafter(const SamplingOptions& sampling, std::size_t n_vocab)
      : weights_(sampling, n_vocab) {}
  void begin_text(std::span<const TokenId> /*prompt*/) override { rows_.clear(); }
  void begin(DraftRound& round) override;
  void see(const VerifiedTree& verified) override;

 private:
  LogWeights weights_;
  std::map<TokenId, std::vector<float>> rows_;
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_DRAFTERS_H_
