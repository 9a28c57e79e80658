// Masks of allowed tokens by the place in a grammar that they are of.
#ifndef GUMBELSPEC_SRC_LLAMA_MASK_CACHE_H_
#define GUMBELSPEC_SRC_LLAMA_MASK_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

namespace gumbelspec::internal {

using Mask = std::vector<std::uint32_t>;     // a bit per token, least significant first
using MaskKey = std::vector<std::uint64_t>;  // equal for equal places

// Bounded: the least recently used masks make room.
// Threads: one at a time; the masks themselves do not change and may be read anywhere.
class MaskCache {
 public:
  explicit MaskCache(std::size_t max_bytes) : max_bytes_(max_bytes) {}
  MaskCache(const MaskCache&) = delete;
  MaskCache& operator=(const MaskCache&) = delete;

  // Null: not known.
  [[nodiscard]] std::shared_ptr<const Mask> find(const MaskKey& key);
  // Requires: it is not known. The last one kept stays, whatever its size.
  void keep(MaskKey key, std::shared_ptr<const Mask> mask);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::size_t n_bytes() const { return n_bytes_; }  // of keys and masks

 private:
  struct Entry {
    MaskKey key;
    std::shared_ptr<const Mask> mask;
    [[nodiscard]] std::size_t n_bytes() const;
  };
  // Entries do not move, so their keys can be pointed to.
  struct Hash {
    std::size_t operator()(const MaskKey* key) const;
  };
  struct Equal {
    bool operator()(const MaskKey* a, const MaskKey* b) const { return *a == *b; }
  };

  std::size_t max_bytes_;
  std::size_t n_bytes_ = 0;
  std::list<Entry> entries_;  // the most recently used first
  std::unordered_map<const MaskKey*, std::list<Entry>::iterator, Hash, Equal> by_key_;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_MASK_CACHE_H_
