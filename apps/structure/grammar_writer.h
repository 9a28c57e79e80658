// Writes grammars (GBNF), rule by rule.
#ifndef GUMBELSPEC_APPS_STRUCTURE_GRAMMAR_WRITER_H_
#define GUMBELSPEC_APPS_STRUCTURE_GRAMMAR_WRITER_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "apps/structure/automaton.h"

namespace gumbelspec::structure {

class GrammarWriter {
 public:
  // Bytes of a grammar, at most.
  static constexpr std::size_t kMaxGrammarBytes = std::size_t{2} << 20U;

  GrammarWriter();

  // The name of a rule with this body; the same body is the same rule.
  std::string rule(const std::string& body);
  // A rule's name, for a body that comes later.
  std::string new_name();
  void define(const std::string& name, const std::string& body);

  // Bytes that stand in the text, as GBNF: "\"...\"".
  static std::string literal(std::string_view text);
  // The texts of an automaton, as they are; and as what stands between the quotes of a JSON string.
  std::string texts(const Automaton& automaton) { return texts(automaton, false); }
  std::string in_string(const Automaton& automaton) { return texts(automaton, true); }

  // Throws: Error{invalid_option}, field "json_schema": kMaxGrammarBytes.
  std::string take(const std::string& root);

 private:
  std::string texts(const Automaton& automaton, bool is_json);

  std::map<std::string, std::string> by_body_;
  std::string text_;
  std::size_t n_names_ = 0;
};

// Rules that every grammar has: "ws", "string", "char" (of a string), "integer", "number".
inline constexpr const char* kCommonRules =
    "ws ::= | \" \" | \"\\n\"{1,2} [ \\t]{0,20}\n"
    "char ::= [^\"\\\\\\x7F\\x00-\\x1F] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" escaped)\n"
    "escaped ::= [0-9a-cefA-CEF] hex hex hex | [dD] [0-7] hex hex | "
    "[dD] [89abAB] hex hex \"\\\\u\" [dD] [c-fC-F] hex hex\n"
    "hex ::= [0-9a-fA-F]\n"
    "string ::= \"\\\"\" char* \"\\\"\"\n"
    "integer ::= \"-\"? (\"0\" | [1-9] [0-9]{0,15})\n"
    "number ::= integer (\".\" [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?\n";

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_GRAMMAR_WRITER_H_
