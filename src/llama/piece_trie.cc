#include "src/llama/piece_trie.h"

#include <algorithm>

namespace gumbelspec::internal {

PieceTrie::PieceTrie(std::vector<std::pair<std::uint32_t, std::string>> pieces) {
  std::sort(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second < b.second : a.first < b.first;
  });
  std::vector<std::uint32_t> open;  // the nodes of the last piece
  const auto close_to = [&](std::size_t depth) {
    for (; open.size() > depth; open.pop_back()) {
      nodes_[open.back()].behind = static_cast<std::uint32_t>(nodes_.size());
    }
  };
  const std::string* last = nullptr;
  for (const auto& [token, piece] : pieces) {
    std::size_t shared = 0;
    if (last != nullptr) {
      while (shared < last->size() && shared < piece.size() && (*last)[shared] == piece[shared]) {
        ++shared;
      }
    }
    close_to(shared);
    for (std::size_t i = shared; i < piece.size(); ++i) {
      open.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({static_cast<std::uint8_t>(piece[i]), static_cast<std::uint16_t>(i), 0,
                        static_cast<std::uint32_t>(tokens_.size())});
    }
    tokens_.push_back(token);
    max_depth_ = std::max(max_depth_, piece.size());
    last = &piece;
  }
  close_to(0);
  nodes_.push_back({0, 0, static_cast<std::uint32_t>(nodes_.size()),
                    static_cast<std::uint32_t>(tokens_.size())});
}

}  // namespace gumbelspec::internal
