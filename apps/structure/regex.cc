#include "apps/structure/regex.h"

#include <algorithm>
#include <utility>

#include "apps/structure/json_node.h"

namespace gumbelspec::structure {
namespace {

constexpr int kMaxRegexDepth = 100;

Points digits() { return {{'0', '9'}}; }
Points word_points() { return make_points({{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}); }
// WhiteSpace and LineTerminator.
Points space_points() {
  return make_points({{9, 13},
                      {' ', ' '},
                      {0xA0, 0xA0},
                      {0x1680, 0x1680},
                      {0x2000, 0x200A},
                      {0x2028, 0x2029},
                      {0x202F, 0x202F},
                      {0x205F, 0x205F},
                      {0x3000, 0x3000},
                      {0xFEFF, 0xFEFF}});
}
Points dot_points() {
  return other_points(make_points({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}));
}

class Parser {
 public:
  Parser(std::string_view pattern, const std::string& place)
      : text_(to_points(pattern)), pattern_(pattern), place_(place) {}

  std::vector<PatternWay> parse() {
    std::vector<PatternWay> ways;
    do {
      ways.push_back(parse_way());
    } while (take('|'));
    if (at_ < text_.size()) fail("has a ')' that closes nothing");
    return ways;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    constexpr std::size_t kMost = 60;
    std::string shown = to_utf8(to_points(pattern_).substr(0, kMost));
    if (text_.size() > kMost) shown += "...";
    fail_schema(place_, "cannot be followed: the pattern " + json_string(shown) + " " + what +
                            " (character " + std::to_string(at_ + 1) + ")");
  }
  [[nodiscard]] bool is_over() const { return at_ >= text_.size(); }
  [[nodiscard]] char32_t peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : U'\0';
  }
  bool take(char32_t c) {
    if (is_over() || peek() != c) return false;
    ++at_;
    return true;
  }

  // An alternative outside all groups.
  PatternWay parse_way() {
    PatternWay way;
    if (peek() == '^' && is_look(1)) {
      ++at_;
      while (is_look(0)) way.looks.push_back(parse_look());
      way.regex.parts.push_back({Regex::Kind::begin});
    }
    Regex rest = parse_sequence();
    way.regex.parts.push_back(std::move(rest));
    return way;
  }

  [[nodiscard]] bool is_look(std::size_t ahead) const {
    const char32_t kind = peek(ahead + 2);
    return peek(ahead) == '(' && peek(ahead + 1) == '?' && (kind == '=' || kind == '!');
  }

  LookAhead parse_look() {
    LookAhead look{peek(2) == '!'};
    at_ += 3;
    look.regex = parse_choice();
    if (!take(')')) fail("has a group without an end");
    if (is_quantifier()) fail("repeats a look-ahead");
    return look;
  }

  [[nodiscard]] bool is_quantifier() const {
    const char32_t c = peek();
    return c == '*' || c == '+' || c == '?' || c == '{';
  }

  Regex parse_choice() {
    if (++depth_ > kMaxRegexDepth) fail("is nested too deep; flatten it");
    std::vector<Regex> parts;
    do {
      parts.push_back(parse_sequence());
    } while (take('|'));
    --depth_;
    return parts.size() == 1 ? std::move(parts.front()) : any_of(std::move(parts));
  }

  Regex parse_sequence() {
    Regex out;
    while (!is_over() && peek() != '|' && peek() != ')') {
      Regex item = parse_item();
      parse_quantifier(item);
      out.parts.push_back(std::move(item));
    }
    return out;
  }

  Regex parse_item() {
    const char32_t c = peek();
    if (c == '(') return parse_group();
    if (c == '[') return of(parse_class());
    if (c == '*' || c == '+' || c == '?') fail("repeats nothing");
    if (c == '{') fail("has a '{' that repeats nothing; write \\{ for the character");
    ++at_;
    if (c == '^') return {Regex::Kind::begin};
    if (c == '$') return {Regex::Kind::end};
    if (c == '.') return of(dot_points());
    if (c != '\\') return of(Points{{c, c}});
    return of(parse_escape(false));
  }

  static Regex of(Points points) {
    Regex out{Regex::Kind::points};
    out.points = std::move(points);
    return out;
  }

  Regex parse_group() {
    ++at_;
    if (take('?')) {
      const bool is_named = peek() == '<' && peek(1) != '=' && peek(1) != '!';
      if (is_named) {
        while (!is_over() && peek() != '>') ++at_;
        if (!take('>')) fail("has a group name without an end");
      } else if (!take(':')) {
        fail(
            "has a look-ahead that is not right behind the first ^, a look-behind or flags, which "
            "are not supported; write it without");
      }
    }
    Regex out = parse_choice();
    if (!take(')')) fail("has a group without an end");
    // A part of its own, so that what repeats it repeats all of it.
    return in_sequence({std::move(out)});
  }

  std::uint64_t parse_number() {
    std::uint64_t value = 0;
    if (peek() < '0' || peek() > '9') fail("has a '{' without a number");
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = std::min<std::uint64_t>(value * 10 + (peek() - U'0'), 1'000'000'000);
    }
    return value;
  }

  void parse_quantifier(Regex& item) {
    std::uint64_t least = 0;
    std::uint64_t most = Regex::kNoLimit;
    const bool is_assertion = item.kind == Regex::Kind::begin || item.kind == Regex::Kind::end;
    if (take('*')) {
    } else if (take('+')) {
      least = 1;
    } else if (take('?')) {
      most = 1;
    } else if (take('{')) {
      most = least = parse_number();
      if (take(',')) most = peek() == '}' ? Regex::kNoLimit : parse_number();
      if (!take('}')) fail("has a '{' without a '}'");
      if (most < least) fail("repeats at least more than at most");
    } else {
      return;
    }
    if (is_assertion) fail("repeats a '^' or a '$'");
    take('?');  // lazy: the same texts
    item = repeated(std::move(item), least, most);
    if (is_quantifier()) fail("repeats a repetition");
  }

  std::uint32_t parse_hex(std::size_t n) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < n; ++i, ++at_) {
      const char32_t c = peek();
      const std::uint32_t digit = c >= '0' && c <= '9'   ? c - '0'
                                  : c >= 'a' && c <= 'f' ? c - 'a' + 10U
                                  : c >= 'A' && c <= 'F' ? c - 'A' + 10U
                                                         : 16U;
      if (digit == 16) fail("has an escape without its hexadecimal digits");
      value = value << 4U | digit;
    }
    return value;
  }

  std::uint32_t parse_unicode() {
    if (take('{')) {
      std::uint32_t value = 0;
      while (!is_over() && peek() != '}') {
        value = value << 4U | parse_hex(1);
        if (value > 0x10FFFF) fail("has a character beyond U+10FFFF");
      }
      if (!take('}')) fail("has an escape without its end");
      return value;
    }
    const std::uint32_t first = parse_hex(4);
    if (first < 0xD800 || first > 0xDBFF || peek() != '\\' || peek(1) != 'u') return first;
    const std::size_t begin = at_;
    at_ += 2;
    const std::uint32_t second = parse_hex(4);
    if (second >= 0xDC00 && second <= 0xDFFF) {
      return 0x10000 + ((first - 0xD800) << 10U) + (second - 0xDC00);
    }
    at_ = begin;
    return first;
  }

  // Behind the backslash.
  Points parse_escape(bool is_in_class) {
    if (is_over()) fail("ends with a backslash");
    const char32_t c = peek();
    ++at_;
    const auto one = [](std::uint32_t point) { return make_points({{point, point}}); };
    switch (c) {
      case 'd':
        return digits();
      case 'D':
        return other_points(digits());
      case 'w':
        return word_points();
      case 'W':
        return other_points(word_points());
      case 's':
        return space_points();
      case 'S':
        return other_points(space_points());
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'v':
        return one('\v');
      case 'f':
        return one('\f');
      case 'r':
        return one('\r');
      case 'x':
        return one(parse_hex(2));
      case 'u':
        return one(parse_unicode());
      case 'c': {
        const char32_t letter = peek() | 0x20U;
        if (letter < 'a' || letter > 'z') fail("has a \\c without a letter");
        ++at_;
        return one(letter & 31U);
      }
      case '0':
        if (peek() >= '0' && peek() <= '9') fail("has an octal escape, which is not supported");
        return one(0);
      default:
        break;
    }
    if (c == 'b' && is_in_class) return one('\b');
    if (c == 'b' || c == 'B') fail("has a word limit, which is not supported; write it without");
    if (c == 'p' || c == 'P') {
      fail("has a property of characters, which is not supported; list the characters");
    }
    if ((c >= '1' && c <= '9') || c == 'k') fail("has a back reference, which is not supported");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) fail("has an unknown escape");
    return one(c);
  }

  Points parse_class() {
    ++at_;
    const bool is_negated = take('^');
    std::vector<PointRange> ranges;
    while (!take(']')) {
      if (is_over()) fail("has a '[' without a ']'");
      const Points first = parse_class_item();
      ranges.insert(ranges.end(), first.begin(), first.end());
      if (peek() != '-' || peek(1) == ']' || at_ + 1 >= text_.size()) continue;
      ++at_;
      const Points last = parse_class_item();
      const bool are_one = first.size() == 1 && first[0].first == first[0].last &&
                           last.size() == 1 && last[0].first == last[0].last;
      if (!are_one) fail("has a range of characters between sets of them");
      if (last[0].first < first[0].first) fail("has a range of characters that is out of order");
      ranges.push_back({first[0].first, last[0].first});
    }
    const Points points = make_points(std::move(ranges));
    return is_negated ? other_points(points) : points;
  }

  Points parse_class_item() {
    const char32_t c = peek();
    ++at_;
    return c == '\\' ? parse_escape(true) : make_points({{c, c}});
  }

  std::u32string text_;
  std::string_view pattern_;
  const std::string& place_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Regex one_of(std::uint32_t first, std::uint32_t last) {
  Regex out{Regex::Kind::points};
  if (first <= last) out.points = {{first, last}};
  return out;
}

Regex written(std::string_view ascii) {
  Regex out;
  for (const char c : ascii) {
    out.parts.push_back(one_of(static_cast<unsigned char>(c), static_cast<unsigned char>(c)));
  }
  return out;
}

Regex in_sequence(std::vector<Regex> parts) {
  Regex out{Regex::Kind::sequence};
  out.parts = std::move(parts);
  return out;
}

Regex any_of(std::vector<Regex> parts) {
  Regex out{Regex::Kind::choice};
  out.parts = std::move(parts);
  return out;
}

Regex repeated(Regex part, std::uint64_t least, std::uint64_t most) {
  Regex out{Regex::Kind::repeat};
  out.parts.push_back(std::move(part));
  out.least = least;
  out.most = most;
  return out;
}

std::vector<PatternWay> parse_pattern(std::string_view pattern, const std::string& place) {
  return Parser(pattern, place).parse();
}

}  // namespace gumbelspec::structure
