// Sets of texts as finite automata over characters.
#ifndef GUMBELSPEC_APPS_STRUCTURE_AUTOMATON_H_
#define GUMBELSPEC_APPS_STRUCTURE_AUTOMATON_H_

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "apps/structure/regex.h"

namespace gumbelspec::structure {

// An automaton that would be too large; whoever knows the place says so.
class TooLarge : public std::length_error {
 public:
  TooLarge() : std::length_error("an automaton with too many states") {}
};

// Deterministic. Every state is on the way to a text, so an automaton without states takes none.
class Automaton {
 public:
  static constexpr std::size_t kMaxStates = 5000;
  static constexpr std::uint64_t kNoLimit = Regex::kNoLimit;

  struct Edge {
    PointRange points = {};
    std::uint32_t to = 0;
  };
  struct State {
    bool is_text = false;
    std::vector<Edge> edges = {};  // sorted; their points are disjoint
  };

  // The first state is the beginning. Those that lead to no text are left out.
  explicit Automaton(std::vector<State> states);

  // The texts that the expression matches as a whole. Throws: TooLarge, as all below.
  static Automaton of(const Regex& regex);
  // The texts that a pattern matches somewhere, as JSON Schema's "pattern".
  static Automaton that_holds(const std::vector<PatternWay>& pattern);
  static Automaton of_texts(const std::vector<std::string>& texts);
  // Texts of at least and at most so many characters.
  static Automaton of_length(std::uint64_t least, std::uint64_t most);

  // The same texts with fewer states, where that takes few rounds; else the same automaton.
  [[nodiscard]] Automaton smaller() const;
  [[nodiscard]] Automaton others() const;  // all texts that this does not take
  friend Automaton common(const Automaton& a, const Automaton& b);

  [[nodiscard]] bool is_empty() const { return states_.empty(); }
  [[nodiscard]] const std::vector<State>& states() const { return states_; }
  [[nodiscard]] bool takes(std::string_view text) const;  // UTF-8

 private:
  std::vector<State> states_;
};

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_AUTOMATON_H_
