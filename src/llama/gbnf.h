// GBNF, llama.cpp's notation for grammars, as a tree.
#ifndef GUMBELSPEC_SRC_LLAMA_GBNF_H_
#define GUMBELSPEC_SRC_LLAMA_GBNF_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gumbelspec::internal {

struct CodePointRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;  // inclusive
};
// Sorted, disjoint, not adjacent; characters only (no surrogates).
using CodePointSet = std::vector<CodePointRange>;

// Of ranges in any order. is_negated: of all other characters.
CodePointSet code_point_set(std::vector<CodePointRange> ranges, bool is_negated);

struct GbnfNode {
  enum class Kind : std::uint8_t {
    text,      // text; empty: nothing
    chars,     // one character of set
    token,     // one token, with is_negated any other one
    call,      // rule
    sequence,  // parts, one after the other
    choice,    // one of parts
    repeat     // parts[0], least to most times
  };
  static constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

  Kind kind = Kind::sequence;
  bool is_negated = false;
  std::uint32_t id = 0;  // of the token or the rule
  std::uint64_t least = 0;
  std::uint64_t most = 0;
  std::u32string text = {};
  CodePointSet set = {};
  std::vector<GbnfNode> parts = {};
};

struct GbnfRule {
  std::string name;
  std::size_t line = 0;  // where it is defined; of one that is only used, where that is
  bool is_defined = false;
  GbnfNode body = {};
};

struct Gbnf {
  std::vector<GbnfRule> rules;
  std::size_t root = 0;
};

// The token that is written so, "<think>"; nullopt: none, or several.
using TokenOf = std::function<std::optional<std::uint32_t>(std::string_view written)>;

// Takes what llama.cpp's parser takes, but for repetitions whose limits are the wrong way round.
// Repetitions of more than 2,000 times keep their limit, where llama.cpp drops it.
// Throws: Error{invalid_option}, field "grammar", with the line.
Gbnf parse_gbnf(const std::string& text, const TokenOf& token_of);

// line: counted from 1; 0: none in particular.
[[noreturn]] void fail_grammar(std::size_t line, const std::string& reason);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_GBNF_H_
