// The formats that are followed: of strings as patterns, of numbers as limits.
#ifndef GUMBELSPEC_APPS_STRUCTURE_STRING_FORMATS_H_
#define GUMBELSPEC_APPS_STRUCTURE_STRING_FORMATS_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace gumbelspec::structure {

// Of strings. Empty: it says nothing about the characters ("password"). Null: none of strings.
const char* pattern_of_format(std::string_view format);
// Of numbers, which have to be whole: least and most. nullopt: none of numbers, or it says nothing
// about them ("double").
std::optional<std::pair<const char*, const char*>> limits_of_format(std::string_view format);
bool is_format(std::string_view format);  // of strings or numbers
std::string known_formats();              // "date, time, ..."

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_STRING_FORMATS_H_
