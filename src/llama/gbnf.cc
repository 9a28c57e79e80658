#include "src/llama/gbnf.h"

#include <algorithm>
#include <map>
#include <utility>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_grammar.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

constexpr std::size_t kMostShown = 40;  // bytes of the grammar
constexpr std::uint32_t kLastCodePoint = 0x10FFFF;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_of_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || is_digit(c);
}

// A recursive descent over the text; one object per grammar.
class Parser {
 public:
  Parser(const std::string& text, const TokenOf& token_of) : text_(text), token_of_(token_of) {}

  Gbnf parse() {
    if (const auto wrong = first_invalid_utf8(text_)) {
      at_ = *wrong;
      fail("this is not UTF-8");
    }
    skip_space(true);
    while (!is_over()) parse_rule();
    for (const GbnfRule& rule : out_.rules) {
      if (rule.is_defined) continue;
      fail_grammar(rule.line, "the rule " + printable(rule.name) + " is used but not defined");
    }
    const auto root = ids_.find("root");
    if (root == ids_.end()) fail_grammar(0, "it has no rule \"root\"");
    out_.root = root->second;
    return std::move(out_);
  }

 private:
  [[nodiscard]] bool is_over() const { return at_ == text_.size(); }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  [[nodiscard]] std::size_t line() const {
    const auto end = text_.begin() + static_cast<std::ptrdiff_t>(at_);
    return 1 + static_cast<std::size_t>(std::count(text_.begin(), end, '\n'));
  }
  [[noreturn]] void fail(const std::string& reason) const { fail_grammar(line(), reason); }
  [[noreturn]] void fail_here(const std::string& reason) const {
    if (is_over()) fail(reason + " at the end");
    const std::string_view rest = std::string_view(text_).substr(at_);
    const std::string_view first = rest.substr(0, rest.find_first_of("\r\n"));
    fail(reason + " at " + printable(first.substr(0, kMostShown)) +
         (first.size() > kMostShown ? "..." : ""));
  }

  void skip_space(bool takes_lines) {
    while (!is_over()) {
      const char c = peek();
      if (c == '#') {
        at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
      } else if (c == ' ' || c == '\t' || (takes_lines && (c == '\r' || c == '\n'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  std::string parse_name() {
    const std::size_t begin = at_;
    while (is_of_name(peek())) ++at_;
    if (at_ == begin) fail_here("expecting name");
    return text_.substr(begin, at_ - begin);
  }

  std::uint64_t parse_number() {
    if (!is_digit(peek())) fail_here("expecting an int");
    std::uint64_t value = 0;
    for (; is_digit(peek()); ++at_) {
      if (value > 999'999'999'999'999'999U) fail("a number is too large");
      value = value * 10 + static_cast<std::uint64_t>(peek() - '0');
    }
    return value;
  }

  std::uint32_t rule_id(const std::string& name) {
    const auto [found, is_new] = ids_.emplace(name, static_cast<std::uint32_t>(out_.rules.size()));
    if (is_new) out_.rules.push_back({name, line()});
    return found->second;
  }

  void parse_rule() {
    const std::size_t begins_in = line();
    const std::uint32_t id = rule_id(parse_name());
    skip_space(false);
    if (text_.compare(at_, 3, "::=") != 0) fail_here("expecting ::=");
    at_ += 3;
    skip_space(true);
    GbnfNode body = parse_choice(false);
    if (!is_over() && peek() != '\r' && peek() != '\n') fail_here("expecting newline or end");
    skip_space(true);
    GbnfRule& rule = out_.rules[id];  // the last definition counts, as with llama.cpp
    rule.body = std::move(body);
    rule.is_defined = true;
    rule.line = begins_in;
  }

  GbnfNode parse_choice(bool is_nested) {
    GbnfNode first = parse_sequence(is_nested);
    if (peek() != '|') return first;
    GbnfNode choice{GbnfNode::Kind::choice};
    choice.parts.push_back(std::move(first));
    while (peek() == '|') {
      ++at_;
      skip_space(true);
      choice.parts.push_back(parse_sequence(is_nested));
    }
    return choice;
  }

  GbnfNode parse_sequence(bool is_nested) {
    GbnfNode sequence{GbnfNode::Kind::sequence};
    bool can_repeat = false;
    while (!is_over()) {
      const char c = peek();
      if (c == '*' || c == '+' || c == '?' || c == '{') {
        if (!can_repeat) fail_here("expecting preceding item to */+/?/{");
        parse_repetition(sequence.parts.back(), is_nested);
      } else if (auto item = parse_item(is_nested)) {
        // An empty literal or set is nothing, and cannot be repeated.
        can_repeat = item->kind != GbnfNode::Kind::text || !item->text.empty();
        if (can_repeat) sequence.parts.push_back(std::move(*item));
      } else {
        break;
      }
    }
    return sequence;
  }

  // nullopt: nothing that begins an item.
  std::optional<GbnfNode> parse_item(bool is_nested) {
    const char c = peek();
    GbnfNode item;
    if (c == '"') {
      item = parse_literal();
    } else if (c == '[') {
      item = parse_set();
    } else if (c == '<' || c == '!') {
      item = parse_token();
    } else if (c == '(') {
      item = parse_group();
    } else if (c == '.') {
      ++at_;
      item.kind = GbnfNode::Kind::chars;
      item.set = code_point_set({}, true);
    } else if (is_of_name(c)) {
      item.kind = GbnfNode::Kind::call;
      item.id = rule_id(parse_name());
    } else {
      return std::nullopt;
    }
    skip_space(is_nested);
    return item;
  }

  GbnfNode parse_literal() {
    GbnfNode item{GbnfNode::Kind::text};
    ++at_;
    while (peek() != '"') item.text.push_back(static_cast<char32_t>(parse_character()));
    ++at_;
    return item;
  }

  GbnfNode parse_set() {
    ++at_;
    const bool is_negated = peek() == '^';
    if (is_negated) ++at_;
    std::vector<CodePointRange> ranges;
    while (peek() != ']') {
      const std::uint32_t first = parse_character();
      ranges.push_back({first, first});
      if (peek() != '-' || peek(1) == ']') continue;
      ++at_;
      ranges.back().last = parse_character();
    }
    ++at_;
    if (ranges.empty()) return {GbnfNode::Kind::text};  // llama.cpp takes [] for nothing
    GbnfNode item{GbnfNode::Kind::chars};
    item.set = code_point_set(std::move(ranges), is_negated);
    return item;
  }

  GbnfNode parse_group() {
    if (++n_open_ > kMaxGrammarParentheses) {
      fail("more than " + std::to_string(kMaxGrammarParentheses) + " parentheses are open at once");
    }
    ++at_;
    skip_space(true);
    GbnfNode item = parse_choice(true);
    --n_open_;
    if (peek() != ')') fail_here("expecting ')'");
    ++at_;
    return item;
  }

  GbnfNode parse_token() {
    GbnfNode item{GbnfNode::Kind::token};
    item.is_negated = peek() == '!';
    if (item.is_negated) ++at_;
    if (peek() != '<') fail_here("expecting '<'");
    if (peek(1) == '[') {
      at_ += 2;
      const std::uint64_t id = parse_number();
      if (id > 0x7FFF'FFFFU) fail("a number is too large");
      if (peek() != ']') fail_here("expecting ']'");
      if (peek(1) != '>') fail_here("expecting '>'");
      at_ += 2;
      item.id = static_cast<std::uint32_t>(id);
      return item;
    }
    const std::size_t end = text_.find('>', at_);
    if (end == std::string::npos) fail_here("expecting '>' behind");
    const std::string written = text_.substr(at_, end + 1 - at_);
    const auto id = token_of_(written);
    if (!id) fail(printable(written.substr(0, kMostShown)) + " is not one token of the model");
    at_ = end + 1;
    item.id = *id;
    return item;
  }

  std::uint32_t parse_hex(std::size_t n) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < n; ++i, ++at_) {
      const char c = peek();
      const int digit = is_digit(c)            ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail_here("expecting " + std::to_string(n) + " hex chars");
      value = value << 4U | static_cast<std::uint32_t>(digit);
    }
    return value;
  }

  std::uint32_t parse_character() {
    if (is_over()) fail("unexpected end of input");
    if (peek() != '\\') {
      std::size_t n = 1;
      while (at_ + n < text_.size() &&
             (static_cast<unsigned char>(text_[at_ + n]) & 0xC0U) == 0x80U)
        ++n;
      std::vector<std::uint32_t> character;
      append_code_points(std::string_view(text_).substr(at_, n), character);
      at_ += n;
      return character.front();
    }
    const char c = peek(1);
    at_ += 2;
    switch (c) {
      case 'x':
        return parse_hex(2);
      case 'u':
        return parse_hex(4);
      case 'U':
        return parse_hex(8);
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'n':
        return '\n';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
        return static_cast<std::uint32_t>(c);
      default:
        at_ = std::min(at_ - 2, text_.size());
        fail_here("unknown escape");
    }
  }

  void parse_repetition(GbnfNode& item, bool is_nested) {
    const char c = peek();
    ++at_;
    std::uint64_t least = c == '+' ? 1 : 0;
    std::uint64_t most = c == '?' ? 1 : GbnfNode::kNoLimit;
    if (c == '{') {
      skip_space(is_nested);
      most = least = parse_number();
      skip_space(is_nested);
      if (peek() == ',') {
        ++at_;
        skip_space(is_nested);
        most = is_digit(peek()) ? parse_number() : GbnfNode::kNoLimit;
        skip_space(is_nested);
      } else if (peek() != '}') {
        fail_here("expecting ','");
      }
      if (peek() != '}') fail_here("expecting '}'");
      if (most < least) {
        fail("a repetition of at least " + std::to_string(least) + " and at most " +
             std::to_string(most) + " times");
      }
      ++at_;
    }
    skip_space(is_nested);
    GbnfNode repeat{GbnfNode::Kind::repeat};
    repeat.least = least;
    repeat.most = most;
    repeat.parts.push_back(std::move(item));
    item = std::move(repeat);
  }

  const std::string& text_;
  const TokenOf& token_of_;
  std::size_t at_ = 0;
  std::size_t n_open_ = 0;
  std::map<std::string, std::uint32_t> ids_;
  Gbnf out_;
};

}  // namespace

CodePointSet code_point_set(std::vector<CodePointRange> ranges, bool is_negated) {
  std::sort(ranges.begin(), ranges.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  CodePointSet joined;
  for (const CodePointRange& range : ranges) {
    if (range.first > range.last) continue;
    if (!joined.empty() &&
        (joined.back().last == UINT32_MAX || range.first <= joined.back().last + 1)) {
      joined.back().last = std::max(joined.back().last, range.last);
    } else {
      joined.push_back(range);
    }
  }
  if (is_negated) {
    CodePointSet others;
    std::uint32_t next = 0;
    for (const CodePointRange& range : joined) {
      if (range.first > next) others.push_back({next, range.first - 1});
      if (range.last >= kLastCodePoint) {
        next = kLastCodePoint + 1;
        break;
      }
      next = range.last + 1;
    }
    if (next <= kLastCodePoint) others.push_back({next, kLastCodePoint});
    joined = std::move(others);
  }
  CodePointSet characters;
  const auto keep = [&](const CodePointRange& range, std::uint32_t low, std::uint32_t high) {
    const CodePointRange part{std::max(range.first, low), std::min(range.last, high)};
    if (part.first <= part.last) characters.push_back(part);
  };
  for (const CodePointRange& range : joined) {
    keep(range, 0, 0xD7FF);
    keep(range, 0xE000, kLastCodePoint);
  }
  return characters;
}

Gbnf parse_gbnf(const std::string& text, const TokenOf& token_of) {
  if (text.find('\0') != std::string::npos) {
    throw Error(ErrorCode::invalid_option, "grammar has a character U+0000; leave it out",
                "grammar");
  }
  return Parser(text, token_of).parse();
}

void fail_grammar(std::size_t line, const std::string& reason) {
  throw Error(ErrorCode::invalid_option,
              "grammar is wrong" + (line == 0 ? "" : " in line " + std::to_string(line)) + ": " +
                  reason + "; the notation is GBNF, as in llama.cpp's grammars/README.md",
              "grammar");
}

}  // namespace gumbelspec::internal
