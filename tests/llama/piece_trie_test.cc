// Tokens by their bytes.
#include "src/llama/piece_trie.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace gumbelspec::internal {
namespace {

TEST(PieceTrie, HoldsEachTokenWhereItsBytesLead) {
  std::mt19937 random(4);
  std::vector<std::pair<std::uint32_t, std::string>> pieces;
  for (std::uint32_t i = 0; i < 500; ++i) {
    std::string piece;
    for (unsigned n = 1 + random() % 5; n > 0; --n) piece.push_back("abc"[random() % 3]);
    pieces.emplace_back(i, piece);
  }
  const PieceTrie trie(pieces);
  std::vector<char> path(trie.max_depth());
  std::size_t n_found = 0;
  for (std::size_t i = 0; i < trie.size(); ++i) {
    const PieceTrie::Node& node = trie.nodes()[i];
    path[node.depth] = static_cast<char>(node.byte);
    const std::string bytes(path.data(), node.depth + 1U);
    for (const std::uint32_t token : trie.tokens_at(i)) {
      EXPECT_EQ(pieces[token].second, bytes);
      ++n_found;
    }
    std::size_t n_below = 0;
    for (const auto& piece : pieces) n_below += piece.second.compare(0, bytes.size(), bytes) == 0;
    EXPECT_EQ(trie.tokens_below(i).size(), n_below);
  }
  EXPECT_EQ(n_found, pieces.size());
}

}  // namespace
}  // namespace gumbelspec::internal
