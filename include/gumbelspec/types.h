// Identifiers. Each is a type of its own, so that a token cannot be passed where a node is meant.
#ifndef GUMBELSPEC_TYPES_H_
#define GUMBELSPEC_TYPES_H_

#include <cstddef>
#include <cstdint>

namespace gumbelspec {

// A token's id in the vocabulary, [0, n_vocab).
enum class TokenId : std::int32_t {};

// A node of a DraftTree; the root is 0, parents come before their children.
enum class NodeId : std::int32_t {};
inline constexpr NodeId kRoot{0};
inline constexpr NodeId kNoNode{-1};

// A sequence (one request's text) held by a LanguageModel.
enum class SeqId : std::int32_t {};

// A token that a LanguageModel has evaluated after the committed text of a sequence, but has not
// committed yet. Each sequence numbers its own from 0 in the order of evaluation; commit() ends
// them all.
enum class PendingId : std::int32_t {};
// "The parent is the last committed token" (or the beginning of an empty sequence).
inline constexpr PendingId kCommitted{-1};
// "It has not been evaluated."
inline constexpr PendingId kNotEvaluated{-2};

// Index of a token in the text, 0-based; the first token of the prompt has position 0.
enum class Position : std::uint32_t {};

constexpr std::size_t index(TokenId id) { return static_cast<std::size_t>(id); }
constexpr std::size_t index(NodeId id) { return static_cast<std::size_t>(id); }
constexpr std::size_t index(SeqId id) { return static_cast<std::size_t>(id); }
constexpr std::size_t index(PendingId id) { return static_cast<std::size_t>(id); }
constexpr std::size_t index(Position position) { return static_cast<std::size_t>(position); }

constexpr TokenId token_id(std::size_t i) { return static_cast<TokenId>(i); }
constexpr NodeId node_id(std::size_t i) { return static_cast<NodeId>(i); }
constexpr PendingId pending_id(std::size_t i) { return static_cast<PendingId>(i); }
// The position of the token after n others.
constexpr Position position_after(std::size_t n) { return static_cast<Position>(n); }

}  // namespace gumbelspec

#endif  // GUMBELSPEC_TYPES_H_
