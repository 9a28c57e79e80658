#include "apps/cli/structure_options.h"

#include <string_view>
#include <utility>
#include <vector>

#include "apps/common/prompt.h"
#include "apps/common/utf8_stream.h"
#include "apps/structure/json_schema.h"
#include "gumbelspec/llama_grammar.h"

namespace gumbelspec::apps::cli {
namespace {

// What work throws, with the option in the place of what the library calls it.
template <class Work>
auto named(const std::string& option, Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw Error(error.code(), error.message_with([&](std::string_view) { return option; }));
  }
}

struct Given {
  std::string text;
  std::string option;
};

// Of a pair of options; nothing if neither is given. A file is told by its path, too.
std::optional<Given> read_given(const std::optional<std::string>& text,
                                const std::optional<std::string>& file, const std::string& option) {
  if (text) return Given{*text, option};
  if (!file) return std::nullopt;
  return Given{read_file(*file), option + "-file " + in_quotes(*file)};
}

void check_at_most_one(const StructureOptions& options) {
  std::vector<std::string> given;
  const auto look = [&](bool is_given, const char* name) {
    if (is_given) given.emplace_back(name);
  };
  look(options.grammar.has_value(), "--grammar");
  look(options.grammar_file.has_value(), "--grammar-file");
  look(options.json_schema.has_value(), "--json-schema");
  look(options.json_schema_file.has_value(), "--json-schema-file");
  if (given.size() < 2) return;
  throw bad_option(given[0] + " and " + given[1] +
                   " both say what the text is like; give one of them");
}

}  // namespace

void add_structure_options(Arguments& arguments, StructureOptions& options) {
  add_text(arguments, "--grammar", "GRAMMAR", options.grammar,
           "The text follows this grammar: GBNF, with a rule root; at most 64 KiB");
  add_text(arguments, "--grammar-file", "FILE", options.grammar_file,
           "The same from a file; -: standard input");
  add_text(arguments, "-j,--json-schema", "SCHEMA", options.json_schema,
           R"(The text is JSON that this JSON schema describes, e.g. {"type": "object"}; at most )"
           "64 KiB");
  add_text(arguments, "--json-schema-file", "FILE", options.json_schema_file,
           "The same from a file; -: standard input");
  arguments.group_new_options("Structure");
}

std::optional<Structure> read_structure(const StructureOptions& options) {
  check_at_most_one(options);
  if (const auto grammar = read_given(options.grammar, options.grammar_file, "--grammar")) {
    return named(grammar->option, [&] {
      structure::check_size(grammar->text, "grammar");
      check_grammar(grammar->text);
      return Structure{grammar->text, grammar->option};
    });
  }
  if (const auto schema =
          read_given(options.json_schema, options.json_schema_file, "--json-schema")) {
    return named(schema->option, [&] {
      return Structure{structure::grammar_of_schema(schema->text), schema->option};
    });
  }
  return std::nullopt;
}

std::shared_ptr<const Grammar> compile_structure(const Structure& structure,
                                                 const LlamaModel& target) {
  return named(structure.option, [&] { return compile_grammar(target, structure.gbnf); });
}

}  // namespace gumbelspec::apps::cli
