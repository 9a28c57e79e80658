// What the drafters of a round propose: nodes below the root, from one source or several.
#ifndef GUMBELSPEC_PROPOSALS_H_
#define GUMBELSPEC_PROPOSALS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gumbelspec/draft_tree.h"
#include "gumbelspec/sampling.h"
#include "gumbelspec/types.h"
#include "gumbelspec/walk.h"

namespace gumbelspec {

class Calibration;

// Where a proposal comes from: a draft model, a head, matches in the text. See Proposals::source().
enum class SourceId : std::int32_t {};

struct Proposal {
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  std::size_t parent = kNone;  // index; the root is 0
  TokenId token{};
  SourceId source{};  // that proposed it first
  int depth = 0;
  double value = 1.0;                 // estimated chance that the target's text goes through it
  PendingId pending = kNotEvaluated;  // in the draft model's reading of the text, once evaluated
  // For Proposals itself: the last proposal of children, and the found children as a list.
  std::size_t expansion = kNone;
  std::size_t first_child = kNone;
  std::size_t next_sibling = kNone;
  NodeId node = kNoNode;  // in the tree, once chosen
};

// The pool of a round. Whoever drafts adds children to its nodes; equal tokens below one node
// merge. In the end the nodes of highest value become the draft tree, whatever source they are
// from.
//
// Each source has a calibration: what its estimates have been worth so far in this text. The
// children of a node are worth at most the node, all sources together. A child that several
// propose is worth what the surest of them says.
//
// What cannot be verified is left out without a word: levels beyond the round's, and tokens that
// the target does not have. Does not allocate after it is made, within the limits given then.
class Proposals {
 public:
  struct Limits {
    std::size_t n_vocab = 0;     // the target's
    std::size_t n_expanded = 0;  // nodes that get children in a round
    std::size_t n_ranks = 0;     // children that a source gives a node at once
    std::size_t n_nodes = 0;     // nodes that can be chosen
    std::size_t n_levels = 0;
  };
  explicit Proposals(const Limits& limits);
  ~Proposals();
  Proposals(const Proposals&) = delete;
  Proposals& operator=(const Proposals&) = delete;

  // A source by its name, which is new or was asked for before: its estimates are corrected by how
  // often they have come true.
  [[nodiscard]] SourceId source(std::string_view name);
  // The same, but its estimates are taken at their word.
  [[nodiscard]] SourceId source_at_its_word(std::string_view name);
  // The same with a calibration that somebody else keeps; learns: whether walks teach it.
  // Lifetime: the calibration outlives the pool.
  SourceId source(std::string_view name, Calibration& calibration, bool learns);

  // Only the root is left; nodes may be added down to max_depth levels below it.
  void clear(std::size_t max_depth);

  [[nodiscard]] std::size_t size() const { return found_.size(); }  // root included
  [[nodiscard]] const Proposal& operator[](std::size_t i) const { return found_[i]; }
  // Tokens below the root down to node i. Lifetime: until the next call.
  [[nodiscard]] std::span<const TokenId> path(std::size_t i);
  // The child of node i that carries this token; Proposal::kNone: there is none.
  [[nodiscard]] std::size_t child(std::size_t i, TokenId token) const;
  // The part of node i's value that none of its children has yet, [0, 1].
  [[nodiscard]] double open(std::size_t i) const;
  // The nodes that can still be chosen, but for the root; in no order before sort().
  [[nodiscard]] std::span<const std::size_t> nodes() const { return order_; }
  [[nodiscard]] std::string_view name(SourceId source) const {
    return sources_[static_cast<std::size_t>(source)].name;
  }

  // Adds children of node i: tokens, and in log_value the log of the chance that the target takes
  // each after the node, if its text goes through the node. Their sum is at most 1.
  // moments: of best_candidates(), where the chances come from scores; for the temperature.
  void propose(std::size_t i, SourceId source, std::span<const Candidate> children,
               const ScoreMoments& moments = {});
  // The same for one child. Returns: the child; kNone where it was left out.
  std::size_t propose(std::size_t i, SourceId source, TokenId token, double chance);
  // Room for n candidates, which the next propose() may be given. Shape: [n].
  [[nodiscard]] std::span<Candidate> room(std::size_t n);

  // The draft model has evaluated node i.
  void set_evaluated(std::size_t i, PendingId pending) { found_[i].pending = pending; }

  // Forgets what is not on the way to one of these nodes.
  void keep_paths_to(std::span<const std::size_t> nodes);
  // Sorts by value, and forgets what is not among the best max_nodes.
  // n_levels: nodes at this depth or below are not evaluated, so they are not in the frontier.
  void sort(std::size_t max_nodes, std::size_t n_levels);
  // Whether nothing was added since.
  [[nodiscard]] bool is_sorted() const { return values_.size() == order_.size(); }
  // Of all nodes but the root, as sorted.
  [[nodiscard]] std::span<const double> values() const { return values_; }
  // Those that the draft model can evaluate next: indices, and how much of their value no child
  // has yet, descending.
  [[nodiscard]] std::span<const std::size_t> frontier() const { return frontier_; }
  [[nodiscard]] std::span<const double> frontier_values() const { return frontier_values_; }

  // The n best become the tree, which has its root only, pruned to max_leaves.
  void settle(std::size_t n, std::size_t max_leaves, DraftTree& tree);
  // The tree was pruned: node i is new_ids[i] now, kNoNode: gone.
  void renumber(std::span<const NodeId> new_ids);
  // The proposal that became this node. Requires: settle() in this round.
  [[nodiscard]] const Proposal& chosen(NodeId node) const { return found_[chosen_[index(node)]]; }

  // The target took these tokens on the walk down the tree: all sources that proposed something
  // there learn from it.
  void learn(const WalkResult& walk);

 private:
  struct Source {
    std::string name;
    Calibration* calibration = nullptr;  // null: taken at its word
    bool learns = false;
    std::unique_ptr<Calibration> own;
  };
  struct Expansion {
    std::size_t before = 0;  // another of the same node; kNone: none
    SourceId source{};
    std::size_t first = 0;  // of candidates_
    std::size_t n = 0;
    ScoreMoments moments;
  };

  [[nodiscard]] const Source* find(std::string_view name) const;
  [[nodiscard]] SourceId id_of(const Source* source) const {
    return static_cast<SourceId>(source - sources_.data());
  }
  void scale(std::size_t i, double factor);
  void normalize(std::size_t i);
  std::size_t add(std::size_t i, SourceId source, TokenId token, double value);

  Limits limits_;
  std::size_t max_depth_ = 0;
  std::vector<Source> sources_;
  std::vector<Proposal> found_;  // found_[0] is the root
  std::vector<Expansion> expansions_;
  std::vector<Candidate> candidates_;
  std::size_t n_candidates_ = 0;
  std::vector<float> chances_;      // of the candidates that are being added
  std::vector<std::size_t> order_;  // found nodes but the root; best first, once sorted
  std::vector<double> values_;      // [order_.size()]
  std::vector<std::size_t> frontier_;
  std::vector<double> frontier_values_;
  std::vector<std::pair<double, std::size_t>> open_;  // scratch of sort()
  std::vector<TokenId> path_;
  std::vector<std::size_t> chosen_;  // [tree.size()], the proposal of each node
  std::vector<char> keep_;
  std::vector<NodeId> new_ids_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_PROPOSALS_H_
