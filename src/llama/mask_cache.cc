#include "src/llama/mask_cache.h"

#include <utility>

namespace gumbelspec::internal {

std::size_t MaskCache::Entry::n_bytes() const {
  // Two nodes besides what is in them, about.
  constexpr std::size_t kOfNodes = 128;
  return kOfNodes + key.size() * sizeof key[0] + mask->size() * sizeof(*mask)[0];
}

// FNV-1a, a word at a time, and the high bits mixed down.
std::size_t MaskCache::Hash::operator()(const MaskKey* key) const {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const std::uint64_t word : *key) hash = (hash ^ word) * 0x100000001b3U;
  return static_cast<std::size_t>(hash ^ (hash >> 32U));
}

std::shared_ptr<const Mask> MaskCache::find(const MaskKey& key) {
  const auto found = by_key_.find(&key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return entries_.front().mask;
}

void MaskCache::keep(MaskKey key, std::shared_ptr<const Mask> mask) {
  entries_.push_front({std::move(key), std::move(mask)});
  by_key_.emplace(&entries_.front().key, entries_.begin());
  n_bytes_ += entries_.front().n_bytes();
  while (n_bytes_ > max_bytes_ && entries_.size() > 1) {
    n_bytes_ -= entries_.back().n_bytes();
    by_key_.erase(&entries_.back().key);
    entries_.pop_back();
  }
}

}  // namespace gumbelspec::internal
