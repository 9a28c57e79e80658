// The formats of strings that are followed, as patterns.
#ifndef GUMBELSPEC_APPS_STRUCTURE_STRING_FORMATS_H_
#define GUMBELSPEC_APPS_STRUCTURE_STRING_FORMATS_H_

#include <string>
#include <string_view>

namespace gumbelspec::structure {

// Empty: it says nothing about the characters ("password"). Null: not known.
const char* pattern_of_format(std::string_view format);
std::string known_formats();  // "date, time, ..."

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_STRING_FORMATS_H_
