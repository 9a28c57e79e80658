// The tokens of a vocabulary by the bytes that they write.
#ifndef GUMBELSPEC_SRC_LLAMA_PIECE_TRIE_H_
#define GUMBELSPEC_SRC_LLAMA_PIECE_TRIE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace gumbelspec::internal {

// A tree in which each node is a byte behind those above it, laid out in depth-first order: what is
// below a node stands directly behind it. Does not change.
class PieceTrie {
 public:
  struct Node {
    std::uint8_t byte = 0;
    std::uint16_t depth = 0;        // of the first byte: 0
    std::uint32_t behind = 0;       // the first node that is not below this one
    std::uint32_t first_token = 0;  // of those that end here, and of all below, in tokens()
  };

  // Token and bytes; none may be empty or longer than 65,535 bytes.
  explicit PieceTrie(std::vector<std::pair<std::uint32_t, std::string>> pieces);

  [[nodiscard]] std::span<const Node> nodes() const { return nodes_; }  // one more, at the end
  [[nodiscard]] std::size_t size() const { return nodes_.size() - 1; }
  [[nodiscard]] std::size_t max_depth() const { return max_depth_; }  // bytes of the longest piece
  // The tokens that end at a node; behind a node and all below.
  [[nodiscard]] std::span<const std::uint32_t> tokens_at(std::size_t node) const {
    return between(nodes_[node].first_token, nodes_[node + 1].first_token);
  }
  [[nodiscard]] std::span<const std::uint32_t> tokens_below(std::size_t node) const {
    return between(nodes_[node].first_token, nodes_[nodes_[node].behind].first_token);
  }

 private:
  [[nodiscard]] std::span<const std::uint32_t> between(std::size_t begin, std::size_t end) const {
    return std::span(tokens_).subspan(begin, end - begin);
  }
  std::vector<Node> nodes_;
  std::vector<std::uint32_t> tokens_;  // in the order of the nodes
  std::size_t max_depth_ = 0;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_PIECE_TRIE_H_
