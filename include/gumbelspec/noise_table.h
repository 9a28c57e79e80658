// The noise of a text's positions, and the scores of its rows.
#ifndef GUMBELSPEC_NOISE_TABLE_H_
#define GUMBELSPEC_NOISE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gumbelspec/noise.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec {

// The noise of the next positions. A row is drawn once: the draft's levels, the target's walk and
// the rounds that follow all read the same memory. Where truncation leaves a few tokens, only
// theirs is.
class NoiseTable {
 public:
  // n_rows: positions held at once. Shape of a row: [n_vocab].
  NoiseTable(std::size_t n_vocab, std::size_t n_rows);

  // From now on the noise of this key.
  void restart(NoiseKey key, const NoiseSource& source);

  [[nodiscard]] std::size_t n_vocab() const { return n_vocab_; }
  [[nodiscard]] NoiseKey key() const { return key_; }

  // The noise of a position. Lifetime: until a position n_rows away is asked for, or restart().
  std::span<const float> row(Position position);
  // The noise of the entries of a row at a position: of a list that of its tokens alone, unless the
  // whole row is there already, or so many were asked for that it is worth drawing.
  // Requires: no token from n_vocab() on. Shape: at least [kept.size()]. Lifetime: as row(), and
  // until the next call.
  std::span<const float> of(Position position, const KeptRow& kept);

 private:
  std::size_t n_vocab_;
  std::vector<float> rows_;
  std::vector<std::int64_t> held_;  // position in each slot, -1: none
  // By slot: the position that lists were asked for last, and how many tokens they had.
  std::vector<std::int64_t> listed_;
  std::vector<std::size_t> n_listed_;
  std::vector<float> of_list_;
  NoiseKey key_;
  const NoiseSource* source_ = nullptr;
};

// What the sampling keeps of a row, and the noise of its position.
struct ScoredRow {
  KeptRow row;
  std::span<const float> noise = {};  // noise[i] is that of entry i; empty at temperature 0

  [[nodiscard]] Choice choose() const { return gumbelspec::choose(row, noise); }
};

// The scores of the token after a text: log-weights of the row that the target gave it, and the
// noise of the position where it will stand, which is the text's length.
// Shape: logits [n_vocab], allowed as LogWeights takes it. Throws: nothing of its own.
// Lifetime: until the next call with the same weights or noise.
[[nodiscard]] ScoredRow score(LogWeights& weights, NoiseTable& noise, std::span<const float> logits,
                              const TextView& text, std::span<const std::uint32_t> allowed = {});

// The same of a draft's row, truncated as LogWeights::kept_of_draft() says. Vocabularies may be
// padded differently: tokens that the target does not know are left out, and where the draft has
// more tokens than `allowed` has bits, nothing is forbidden.
[[nodiscard]] ScoredRow score_of_draft(LogWeights& weights, NoiseTable& noise,
                                       std::span<const float> logits, const TextView& text,
                                       std::span<const std::uint32_t> allowed = {});

}  // namespace gumbelspec

#endif  // GUMBELSPEC_NOISE_TABLE_H_
