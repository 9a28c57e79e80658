// What a text is to look like, given as a JSON schema or as a grammar (GBNF).
#ifndef GUMBELSPEC_APPS_STRUCTURE_JSON_SCHEMA_H_
#define GUMBELSPEC_APPS_STRUCTURE_JSON_SCHEMA_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace gumbelspec::structure {

// Bytes of a grammar or a schema that users may give.
inline constexpr std::size_t kMaxBytes = std::size_t{64} << 10U;
// Levels of a schema, and bytes of a "pattern" in it.
inline constexpr int kMaxDepth = 64;
inline constexpr std::size_t kMaxPatternBytes = 1000;

// field: "grammar" or "json_schema". Throws: Error{invalid_option} with this field if the text is
// longer than kMaxBytes.
void check_size(std::string_view text, const std::string& field);

// The grammar (GBNF) of the JSON texts that a schema describes. The schema is JSON text, too.
// Threads: any number at once.
// Throws: Error{invalid_option}, field "json_schema", with the place in the schema
// ("#/properties/age") of what cannot be followed to the letter.
[[nodiscard]] std::string grammar_of_schema(std::string_view schema);

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_JSON_SCHEMA_H_
