// What the text is to look like: a grammar or a JSON schema, in llama.cpp's spelling.
#ifndef GUMBELSPEC_APPS_CLI_STRUCTURE_OPTIONS_H_
#define GUMBELSPEC_APPS_CLI_STRUCTURE_OPTIONS_H_

#include <memory>
#include <optional>
#include <string>

#include "apps/common/arguments.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/token_constraint.h"

namespace gumbelspec::apps::cli {

// At most one of them.
struct StructureOptions {
  std::optional<std::string> grammar;           // GBNF
  std::optional<std::string> grammar_file;      // a path; "-": standard input
  std::optional<std::string> json_schema;       // JSON text
  std::optional<std::string> json_schema_file;  // a path; "-": standard input

  [[nodiscard]] bool is_given() const {
    return grammar || grammar_file || json_schema || json_schema_file;
  }
};

// --grammar, --grammar-file, -j/--json-schema, -jf/--json-schema-file.
void add_structure_options(Arguments& arguments, StructureOptions& options);

// A grammar as text, and the option that it came from, for messages.
struct Structure {
  std::string gbnf;
  std::string option;  // "--grammar", "--json-schema-file \"person.json\""
};

// What can be read and checked before a model is loaded. Returns: nothing if none is given.
// Throws: Error{invalid_option} that says the option and, of a schema, the place in it;
// Error{file_not_found}; Stopped.
[[nodiscard]] std::optional<Structure> read_structure(const StructureOptions& options);

// For the target's vocabulary; of every text that follows it, matcher() is the constraint.
// Lifetime: the model outlives the result. Throws: Error{invalid_option} with option and line.
[[nodiscard]] std::shared_ptr<const Grammar> compile_structure(const Structure& structure,
                                                               const LlamaModel& target);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_STRUCTURE_OPTIONS_H_
