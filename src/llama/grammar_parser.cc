// llama.cpp's own way from a text to a grammar prints to standard error and forgets the reason.
// Here its parser is called rule by rule, and what it throws is put on one line.
#include "src/llama/grammar_parser.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string_view>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_grammar.h"
#include "src/llama/log_capture.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

constexpr std::size_t kMostShown = 40;  // bytes of the grammar or of llama.cpp's words

// line: counted from 1; 0: none in particular.
[[noreturn]] void fail(std::size_t line, const std::string& reason) {
  throw Error(ErrorCode::invalid_option,
              "grammar is wrong" + (line == 0 ? "" : " in line " + std::to_string(line)) + ": " +
                  reason + "; the notation is GBNF, as in llama.cpp's grammars/README.md",
              "grammar");
}

std::size_t line_at(std::string_view gbnf, std::size_t offset) {
  const std::string_view before = gbnf.substr(0, offset);
  return 1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
}

std::string shown(std::string_view text) {
  const std::string_view line = text.substr(0, text.find_first_of("\r\n"));
  return printable(line.substr(0, kMostShown)) + (line.size() > kMostShown ? "..." : "");
}

// llama.cpp's messages end in all the rest of the grammar, which is how they say where they are.
[[noreturn]] void fail_in_rule(const std::string& gbnf, std::size_t rule, std::string_view what) {
  constexpr std::string_view kAt = " at ";
  const std::size_t at = what.find(kAt);
  if (at != std::string_view::npos) {
    const std::string_view rest = what.substr(at + kAt.size());
    if (rest.size() <= gbnf.size() &&
        gbnf.compare(gbnf.size() - rest.size(), rest.size(), rest) == 0) {
      const std::string reason(what.substr(0, at));
      const std::size_t line = line_at(gbnf, gbnf.size() - rest.size());
      fail(line, reason + (rest.empty() ? " at the end" : std::string(kAt) + shown(rest)));
    }
  }
  constexpr std::size_t kMost = 200;
  std::string reason(what.substr(0, std::min(what.find('\n'), kMost)));
  if (first_invalid_utf8(reason)) reason = printable(reason);
  fail(line_at(gbnf, rule), reason);
}

bool is_of_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-'; }

// The first place of a rule's name outside of literals, sets of characters and comments; where the
// rule is defined, or where it is used. gbnf.size(): nowhere.
std::size_t find_rule(std::string_view gbnf, std::string_view name, bool is_definition) {
  std::size_t i = 0;
  while (i < gbnf.size()) {
    const char c = gbnf[i];
    if (c == '"' || c == '[') {
      const char end = c == '"' ? '"' : ']';
      for (++i; i < gbnf.size() && gbnf[i] != end; ++i) {
        if (gbnf[i] == '\\') ++i;
      }
      ++i;
    } else if (c == '#') {
      i = std::min(gbnf.find('\n', i), gbnf.size());
    } else if (is_of_name(c)) {
      const std::size_t begin = i;
      while (i < gbnf.size() && is_of_name(gbnf[i])) ++i;
      if (gbnf.substr(begin, i - begin) != name) continue;
      const std::size_t next = gbnf.find_first_not_of(" \t", i);
      const bool defines = next != std::string_view::npos && gbnf.substr(next, 3) == "::=";
      if (defines == is_definition) return begin;
    } else {
      ++i;
    }
  }
  return gbnf.size();
}

// Where a rule has a name in the text; repetitions make rules of their own, "name_7".
std::string_view written_name(std::string_view name) { return name.substr(0, name.find('_')); }

void check_rules(const std::string& gbnf, const llama_grammar_parser& parser) {
  for (const auto& [name, id] : parser.symbol_ids) {
    if (id < parser.rules.size() && !parser.rules[id].empty()) continue;
    fail(line_at(gbnf, find_rule(gbnf, written_name(name), /*is_definition=*/false)),
         "the rule " + printable(name) + " is used but not defined");
  }
  if (parser.symbol_ids.count("root") == 0) fail(0, "it has no rule \"root\"");
}

llama_grammar_parser parse_rules(const llama_vocab* vocab, const std::string& gbnf) {
  llama_grammar_parser parser(vocab);
  const char* at = gbnf.c_str();
  // Comments and space at the beginning, which parse_rule() does not skip.
  while (*at != '\0' && std::strchr(" \t\r\n#", *at) != nullptr) {
    at += *at == '#' ? std::strcspn(at, "\r\n") : 1;
  }
  while (*at != '\0') {
    const auto rule = static_cast<std::size_t>(at - gbnf.c_str());
    try {
      at = parser.parse_rule(at);
    } catch (const std::out_of_range&) {
      fail(line_at(gbnf, rule), "a number is too large");
    } catch (const std::exception& error) {
      fail_in_rule(gbnf, rule, error.what());
    }
  }
  check_rules(gbnf, parser);
  return parser;
}

// What llama.cpp logs of rules that begin with themselves: "... for nonterminal at index 3".
[[noreturn]] void fail_as_logged(const std::string& gbnf, const llama_grammar_parser& parser,
                                 const std::string& logged) {
  constexpr std::string_view kIndex = "left recursion detected for nonterminal at index ";
  const std::size_t at = logged.find(kIndex);
  if (at == std::string::npos) fail(0, logged.empty() ? "llama.cpp refuses it" : shown(logged));
  std::uint32_t id = 0;
  std::from_chars(logged.data() + at + kIndex.size(), logged.data() + logged.size(), id);
  for (const auto& [name, rule] : parser.symbol_ids) {
    if (rule != id) continue;
    fail(line_at(gbnf, find_rule(gbnf, written_name(name), /*is_definition=*/true)),
         "the rule " + printable(written_name(name)) +
             " begins with itself, or with one that does (left recursion); put something in front");
  }
  fail(0, "a rule begins with itself (left recursion)");
}

}  // namespace

GrammarPtr parse_grammar(const llama_vocab* vocab, const std::string& gbnf) {
  const llama_grammar_parser parser = parse_rules(vocab, gbnf);
  const LogSink no_sink;
  const LogCapture capture(no_sink);
  GrammarPtr grammar(
      llama_grammar_init_impl(vocab, gbnf.c_str(), "root", false, nullptr, 0, nullptr, 0));
  if (grammar == nullptr) fail_as_logged(gbnf, parser, capture.last_error());
  return grammar;
}

}  // namespace gumbelspec::internal

namespace gumbelspec {

void check_grammar(std::string_view gbnf) {
  if (gbnf.find('\0') != std::string_view::npos) {
    throw Error(ErrorCode::invalid_option, "grammar has a character U+0000; leave it out",
                "grammar");
  }
  const auto n_open = static_cast<std::size_t>(std::count(gbnf.begin(), gbnf.end(), '('));
  if (n_open <= kMaxGrammarParentheses) return;
  throw Error(ErrorCode::invalid_option,
              "grammar has " + std::to_string(n_open) + " opening parentheses, at most " +
                  std::to_string(kMaxGrammarParentheses) + " are allowed; give parts of it names",
              "grammar");
}

}  // namespace gumbelspec
