// What an answer is to look like, as a grammar (GBNF).
#ifndef GUMBELSPEC_APPS_SERVER_API_JSON_GRAMMAR_H_
#define GUMBELSPEC_APPS_SERVER_API_JSON_GRAMMAR_H_

#include <string>
#include <string_view>

#include "apps/server/api/json_text.h"

namespace gumbelspec::server {

// The text of a grammar, "" for none. param: the field it came in.
inline constexpr std::size_t kMaxGrammarBytes = std::size_t{64} << 10U;

// A JSON schema to a grammar. Throws: ApiError with param and what the schema has that cannot be
// followed.
[[nodiscard]] std::string grammar_of_schema(const Json& schema, const std::string& param);

// Refuses what llama.cpp's parser would exhaust the stack with. Throws: ApiError.
void check_grammar(std::string_view gbnf, const std::string& param);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_JSON_GRAMMAR_H_
