// Decimal numbers of any size, exactly.
#ifndef GUMBELSPEC_APPS_STRUCTURE_DECIMAL_H_
#define GUMBELSPEC_APPS_STRUCTURE_DECIMAL_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace gumbelspec::structure {

// Digits before and behind the point; "0" before it at least, no zeros that say nothing. Zero is
// not negative.
struct Decimal {
  // Of one side of the point, at most: what a double can be.
  static constexpr std::size_t kMaxDigits = 400;

  bool is_negative = false;
  std::string whole = "0";
  std::string fraction = {};

  // A JSON number. nullopt: it has too many digits.
  static std::optional<Decimal> try_parse(std::string_view text);
  // The same, with 0 for what has too many; for values that have been checked.
  static Decimal parse(std::string_view text) { return try_parse(text).value_or(Decimal{}); }

  [[nodiscard]] bool is_zero() const { return whole == "0" && fraction.empty(); }
  [[nodiscard]] bool is_whole() const { return fraction.empty(); }
  [[nodiscard]] std::string text() const;
  [[nodiscard]] Decimal negated() const;
};

// Below 0: a < b.
int compare(const Decimal& a, const Decimal& b);
// The whole numbers next to it, in the direction of the name.
Decimal floor(const Decimal& value);
Decimal ceiling(const Decimal& value);
// Of whole numbers.
Decimal plus_one(const Decimal& value);
Decimal minus_one(const Decimal& value);

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_DECIMAL_H_
