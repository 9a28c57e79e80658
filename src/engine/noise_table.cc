#include "gumbelspec/noise_table.h"

#include <algorithm>
#include <stdexcept>

namespace gumbelspec {
namespace {

// A listed token's noise costs as much as that of so many in a row.
constexpr std::size_t kListedCost = 4;

}  // namespace

NoiseTable::NoiseTable(std::size_t n_vocab, std::size_t n_rows)
    : n_vocab_(n_vocab),
      rows_(n_vocab * n_rows),
      held_(n_rows, -1),
      listed_(n_rows, -1),
      n_listed_(n_rows),
      of_list_(KeptRow::most_listed(n_vocab)) {
  if (n_rows == 0) throw std::logic_error("NoiseTable: no rows");
}

void NoiseTable::restart(NoiseKey key, const NoiseSource& source) {
  key_ = key;
  source_ = &source;
  std::fill(held_.begin(), held_.end(), -1);
  std::fill(listed_.begin(), listed_.end(), -1);
}

std::span<const float> NoiseTable::row(Position position) {
  if (source_ == nullptr) throw std::logic_error("NoiseTable::row before restart()");
  const std::size_t slot = index(position) % held_.size();
  const std::span<float> out(rows_.data() + slot * n_vocab_, n_vocab_);
  if (held_[slot] != static_cast<std::int64_t>(position)) {
    source_->fill(key_, position, out);
    held_[slot] = static_cast<std::int64_t>(position);
  }
  return out;
}

std::span<const float> NoiseTable::of(Position position, const KeptRow& kept) {
  if (kept.is_whole) return row(position);
  if (source_ == nullptr) throw std::logic_error("NoiseTable::of before restart()");
  const std::size_t n = kept.size();
  if (n > of_list_.size()) of_list_.resize(n);
  const std::span<float> out = std::span(of_list_).first(n);
  const std::size_t slot = index(position) % held_.size();
  if (listed_[slot] != static_cast<std::int64_t>(position)) n_listed_[slot] = 0;
  listed_[slot] = static_cast<std::int64_t>(position);
  n_listed_[slot] += n;
  const bool is_held = held_[slot] == static_cast<std::int64_t>(position);
  const bool is_worth_a_row = n_listed_[slot] * kListedCost > n_vocab_;
  if (!is_held && !is_worth_a_row && source_->fill_listed(key_, position, kept.tokens, out)) {
    return out;
  }
  const std::span<const float> all = row(position);
  for (std::size_t i = 0; i < n; ++i) out[i] = all[index(kept.tokens[i])];
  return out;
}

namespace {

ScoredRow with_noise(const LogWeights& weights, NoiseTable& noise, const KeptRow& row,
                     const TextView& text) {
  if (!weights.uses_noise()) return {row};
  return {row, noise.of(position_after(text.size()), row)};
}

}  // namespace

ScoredRow score(LogWeights& weights, NoiseTable& noise, std::span<const float> logits,
                const TextView& text, std::span<const std::uint32_t> allowed) {
  weights.set_key(noise.key());
  return with_noise(weights, noise, weights.kept(logits, text, allowed), text);
}

ScoredRow score_of_draft(LogWeights& weights, NoiseTable& noise, std::span<const float> logits,
                         const TextView& text, std::span<const std::uint32_t> allowed) {
  if (allowed.size() * 32 < logits.size()) allowed = {};
  weights.set_key(noise.key());
  const KeptRow row = weights.kept_of_draft(logits, text, allowed);
  return with_noise(weights, noise, row.below(noise.n_vocab()), text);
}

}  // namespace gumbelspec
