#include <algorithm>
#include <stdexcept>

#include "gumbelspec/drafter.h"

namespace gumbelspec {

NoiseTable::NoiseTable(std::size_t n_vocab, std::size_t n_rows)
    : n_vocab_(n_vocab), rows_(n_vocab * n_rows), held_(n_rows, -1) {
  if (n_rows == 0) throw std::logic_error("NoiseTable: no rows");
}

void NoiseTable::restart(NoiseKey key, const NoiseSource& source) {
  key_ = key;
  source_ = &source;
  std::fill(held_.begin(), held_.end(), -1);
}

std::span<const float> NoiseTable::row(Position position) {
  if (source_ == nullptr) throw std::logic_error("NoiseTable::row before restart()");
  const std::size_t slot = position % held_.size();
  const std::span<float> out(rows_.data() + slot * n_vocab_, n_vocab_);
  if (held_[slot] != static_cast<std::int64_t>(position)) {
    source_->fill(key_, position, out);
    held_[slot] = position;
  }
  return out;
}

}  // namespace gumbelspec
