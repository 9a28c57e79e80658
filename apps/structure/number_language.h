// The numbers between limits, as texts.
#ifndef GUMBELSPEC_APPS_STRUCTURE_NUMBER_LANGUAGE_H_
#define GUMBELSPEC_APPS_STRUCTURE_NUMBER_LANGUAGE_H_

#include <optional>
#include <string>
#include <vector>

#include "apps/structure/automaton.h"
#include "apps/structure/decimal.h"

namespace gumbelspec::structure {

struct NumberLimit {
  Decimal value = {};
  bool is_exclusive = false;
};

struct NumberLimits {
  bool is_integer = false;
  std::optional<NumberLimit> least = {};
  std::optional<NumberLimit> most = {};
  std::vector<Decimal> multiples_of = {};

  [[nodiscard]] bool any() const { return least || most || !multiples_of.empty(); }
  // The tighter of both counts.
  void add_least(const NumberLimit& limit);
  void add_most(const NumberLimit& limit);
};

// Numbers are written without an exponent: whole numbers of up to 16 digits, or as many as a limit
// has; fractions of so few digits that doubles tell them from an exclusive limit.
// Throws: TooLarge; std::invalid_argument for a multiple that cannot be followed.
Automaton numbers_within(const NumberLimits& limits);

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_NUMBER_LANGUAGE_H_
