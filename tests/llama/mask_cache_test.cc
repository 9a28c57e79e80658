// A bounded cache, against a list that is searched from end to end.
#include "src/llama/mask_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

namespace gumbelspec::internal {
namespace {

MaskKey key(std::uint64_t i) { return {i, 7, i * i}; }

std::shared_ptr<const Mask> mask(std::uint64_t i) {
  return std::make_shared<const Mask>(Mask(100, static_cast<std::uint32_t>(i)));
}

TEST(MaskCache, FindsWhatWasKept) {
  MaskCache cache(1 << 20);
  EXPECT_EQ(cache.find(key(1)), nullptr);
  cache.keep(key(1), mask(1));
  cache.keep(key(2), mask(2));
  EXPECT_EQ(cache.find(key(1))->front(), 1U);
  EXPECT_EQ(cache.find(key(2))->front(), 2U);
  EXPECT_EQ(cache.find({1, 7}), nullptr) << "the beginning of a key is another one";
}

TEST(MaskCache, TheLeastRecentlyUsedMakeRoom) {
  constexpr std::size_t kMost = 8;
  MaskCache measure(1 << 20);
  measure.keep(key(0), mask(0));
  MaskCache cache(kMost * measure.n_bytes());
  std::vector<std::uint64_t> naive;  // the most recently used last
  std::mt19937 random(3);
  std::size_t n_found = 0;
  for (int step = 0; step < 5000; ++step) {
    const std::uint64_t i = random() % 12;
    const auto found = cache.find(key(i));
    const auto at = std::find(naive.begin(), naive.end(), i);
    ASSERT_EQ(found != nullptr, at != naive.end()) << "step " << step;
    if (found != nullptr) {
      EXPECT_EQ(found->front(), i);
      naive.erase(at);
      ++n_found;
    } else {
      cache.keep(key(i), mask(i));
      if (naive.size() == kMost) naive.erase(naive.begin());
    }
    naive.push_back(i);
    ASSERT_LE(cache.n_bytes(), kMost * measure.n_bytes());
    ASSERT_EQ(cache.size(), naive.size());
  }
  EXPECT_GT(n_found, 1000U);
}

TEST(MaskCache, AMaskStaysAsLongAsItIsHeld) {
  MaskCache cache(1);
  cache.keep(key(1), mask(1));
  const auto held = cache.find(key(1));
  cache.keep(key(2), mask(2));
  EXPECT_EQ(cache.size(), 1U) << "the last one stays, however small the room";
  EXPECT_EQ(cache.find(key(1)), nullptr);
  EXPECT_EQ(held->front(), 1U);
}

}  // namespace
}  // namespace gumbelspec::internal
