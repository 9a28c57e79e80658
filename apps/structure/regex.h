// Regular expressions, as ECMA 262 writes them, as trees.
#ifndef GUMBELSPEC_APPS_STRUCTURE_REGEX_H_
#define GUMBELSPEC_APPS_STRUCTURE_REGEX_H_

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "apps/structure/points.h"

namespace gumbelspec::structure {

struct Regex {
  enum class Kind : std::uint8_t {
    points,    // one character of points
    sequence,  // parts, one after the other; none: the empty text
    choice,    // one of parts; none: no text at all
    repeat,    // parts[0], least to most times
    begin,     // ^
    end        // $
  };
  static constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

  Kind kind = Kind::sequence;
  Points points = {};
  std::vector<Regex> parts = {};
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};

// Parts of expressions.
Regex one_of(std::uint32_t first, std::uint32_t last);
Regex written(std::string_view ascii);
Regex in_sequence(std::vector<Regex> parts);
Regex any_of(std::vector<Regex> parts);
Regex repeated(Regex part, std::uint64_t least, std::uint64_t most);

// What a text that an expression begins with has to begin with besides, or must not: (?=...) or
// (?!...) right behind a ^.
struct LookAhead {
  bool is_negated = false;
  Regex regex = {};
};

// One of the alternatives that "|" separates outside all groups.
struct PatternWay {
  std::vector<LookAhead> looks = {};  // at the text's beginning
  Regex regex = {};
};

// A pattern with the flag "u". Other look-around, back references, word limits and properties of
// characters are refused. place: of the pattern, for the message.
// Throws: Error{invalid_option}, field "json_schema".
std::vector<PatternWay> parse_pattern(std::string_view pattern, const std::string& place);

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_REGEX_H_
