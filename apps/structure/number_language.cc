#include "apps/structure/number_language.h"

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>
#include <utility>

namespace gumbelspec::structure {
namespace {

// Digits of whole numbers that have no limit, and of all numbers.
constexpr std::size_t kWholeDigits = 16;
constexpr std::size_t kMostWholeDigits = 40;
constexpr std::size_t kFractionDigits = 15;

Regex digit(char first = '0', char last = '9') {
  return one_of(static_cast<unsigned char>(first), static_cast<unsigned char>(last));
}
Regex digits(std::size_t least, std::size_t most) { return repeated(digit(), least, most); }
Regex nothing() { return any_of({}); }
Regex optional(Regex part) { return repeated(std::move(part), 0, 1); }
Regex then(char c, Regex rest) { return in_sequence({digit(c, c), std::move(rest)}); }
Regex then(Regex first, Regex rest) { return in_sequence({std::move(first), std::move(rest)}); }
std::string_view tail(std::string_view text) { return text.substr(1); }

// Digits of the same number as `limit`, not below it; not above it.
Regex not_below(std::string_view limit) {
  if (limit.empty()) return {};
  std::vector<Regex> ways = {then(limit[0], not_below(tail(limit)))};
  if (limit[0] < '9') {
    ways.push_back(
        then(digit(static_cast<char>(limit[0] + 1)), digits(limit.size() - 1, limit.size() - 1)));
  }
  return any_of(std::move(ways));
}
Regex not_above(std::string_view limit) {
  if (limit.empty()) return {};
  std::vector<Regex> ways = {then(limit[0], not_above(tail(limit)))};
  if (limit[0] > '0') {
    ways.push_back(then(digit('0', static_cast<char>(limit[0] - 1)),
                        digits(limit.size() - 1, limit.size() - 1)));
  }
  return any_of(std::move(ways));
}

Regex any_whole(std::size_t n_digits) {
  return any_of({digit('0', '0'), then(digit('1'), digits(0, n_digits - 1))});
}

// Whole numbers from zero, without zeros in front; n_digits: of them, at most.
Regex whole_from(const std::string& least, std::size_t n_digits) {
  std::vector<Regex> ways = {not_below(least)};
  if (least == "0") ways = {any_whole(n_digits)};
  if (least != "0" && n_digits > least.size()) {
    ways.push_back(then(digit('1'), digits(least.size(), n_digits - 1)));
  }
  return any_of(std::move(ways));
}
Regex whole_to(const std::string& most) {
  std::vector<Regex> ways = {digit('0', '0')};
  if (most != "0") {
    if (most.size() > 1) ways.push_back(then(digit('1'), digits(0, most.size() - 2)));
    std::vector<Regex> same = {then(most[0], not_above(tail(most)))};
    if (most[0] > '1') {
      same.push_back(then(digit('1', static_cast<char>(most[0] - 1)),
                          digits(most.size() - 1, most.size() - 1)));
    }
    ways.push_back(any_of(std::move(same)));
  }
  return any_of(std::move(ways));
}

// Of the digits behind the point, n of them at most.
Regex not_zero(std::size_t n) {
  if (n == 0) return nothing();
  return any_of({then(digit('1'), digits(0, n - 1)), then('0', not_zero(n - 1))});
}
Regex fraction_from(std::string_view least, bool is_exclusive, std::size_t n) {
  if (least.empty()) return is_exclusive ? not_zero(n) : digits(0, n);
  if (n == 0) return nothing();
  std::vector<Regex> ways = {then(least[0], fraction_from(tail(least), is_exclusive, n - 1))};
  if (least[0] < '9') {
    ways.push_back(then(digit(static_cast<char>(least[0] + 1)), digits(0, n - 1)));
  }
  return any_of(std::move(ways));
}
// is_first: directly behind the point, where a digit has to stand.
Regex fraction_to(std::string_view most, bool is_exclusive, std::size_t n, bool is_first) {
  if (most.empty()) {
    if (is_exclusive) return nothing();
    return repeated(digit('0', '0'), is_first ? 1 : 0, n);
  }
  if (n == 0) return is_first ? nothing() : Regex();
  std::vector<Regex> ways = {then(most[0], fraction_to(tail(most), is_exclusive, n - 1, false))};
  if (most[0] > '0') {
    ways.push_back(then(digit('0', static_cast<char>(most[0] - 1)), digits(0, n - 1)));
  }
  if (!is_first) ways.emplace_back();
  return any_of(std::move(ways));
}

struct Sizes {
  std::size_t n_whole = kWholeDigits;
  std::size_t n_fraction = kFractionDigits;
};

Regex any_fraction(std::size_t n) {
  return n == 0 ? Regex() : optional(in_sequence({written("."), digits(1, n)}));
}

// Numbers of at least zero, not below the limit; not above it.
Automaton magnitudes_from(const NumberLimit& limit, const Sizes& sizes) {
  const std::size_t n = sizes.n_fraction;
  const Decimal& value = limit.value;
  std::vector<Regex> same;
  if (n > 0) {
    same.push_back(
        in_sequence({written("."), fraction_from(value.fraction, limit.is_exclusive, n)}));
  }
  if (value.is_whole() && !limit.is_exclusive) same.emplace_back();
  std::vector<Regex> ways = {then(written(value.whole), any_of(std::move(same)))};
  ways.push_back(then(
      whole_from(plus_one(floor(value)).whole, std::max(sizes.n_whole, value.whole.size() + 1)),
      any_fraction(n)));
  // A point needs a digit behind it.
  return common(Automaton::of(any_of(std::move(ways))),
                Automaton::of(in_sequence(
                    {digits(1, Regex::kNoLimit),
                     optional(in_sequence({written("."), digits(1, Regex::kNoLimit)}))})));
}
Automaton magnitudes_to(const NumberLimit& limit, const Sizes& sizes) {
  const std::size_t n = sizes.n_fraction;
  const Decimal& value = limit.value;
  std::vector<Regex> same;
  if (n > 0) {
    same.push_back(
        in_sequence({written("."), fraction_to(value.fraction, limit.is_exclusive, n, true)}));
  }
  if (!value.is_whole() || !limit.is_exclusive) same.emplace_back();
  std::vector<Regex> ways = {then(written(value.whole), any_of(std::move(same)))};
  if (value.whole != "0") {
    ways.push_back(then(whole_to(minus_one(floor(value)).whole), any_fraction(n)));
  }
  return Automaton::of(any_of(std::move(ways)));
}

// Of numbers without a sign; is_empty() where there are none.
Automaton magnitudes(const std::optional<NumberLimit>& least,
                     const std::optional<NumberLimit>& most, const Sizes& sizes) {
  const NumberLimit from = least.value_or(NumberLimit{});
  Automaton out = magnitudes_from(from, sizes);
  if (most) out = common(out, magnitudes_to(*most, sizes));
  return out;
}

Automaton with_minus(const Automaton& magnitude) {
  if (magnitude.is_empty()) return magnitude;
  std::vector<Automaton::State> states = {{}};
  states[0].edges.push_back({{'-', '-'}, 1});
  for (Automaton::State state : magnitude.states()) {
    for (auto& edge : state.edges) ++edge.to;
    states.push_back(std::move(state));
  }
  return Automaton(std::move(states));
}

// One of both. A text of the first begins with a digit, one of the second with a minus.
Automaton either(const Automaton& digits_first, const Automaton& minus_first) {
  if (digits_first.is_empty()) return minus_first;
  if (minus_first.is_empty()) return digits_first;
  std::vector<Automaton::State> states = digits_first.states();
  const auto offset = static_cast<std::uint32_t>(states.size());
  for (Automaton::State state : minus_first.states()) {
    for (auto& edge : state.edges) edge.to += offset;
    states.push_back(std::move(state));
  }
  auto& begin = states[0].edges;
  const auto& minus = states[offset].edges;
  begin.insert(begin.begin(), minus.begin(), minus.end());
  return Automaton(std::move(states));
}

std::optional<NumberLimit> mirrored(const std::optional<NumberLimit>& limit) {
  if (!limit) return std::nullopt;
  return NumberLimit{limit->value.negated(), limit->is_exclusive};
}

// Multiples of m / 10^k, with k digits behind the point at most. A state is the remainder of the
// digits so far, and how many stand behind the point.
Automaton multiples(std::uint32_t m, std::size_t k, bool is_integer) {
  const std::size_t n_behind = is_integer ? 0 : k;
  std::map<std::array<std::uint32_t, 3>, std::uint32_t> ids;  // phase, remainder, digits behind
  std::vector<std::array<std::uint32_t, 3>> keys;
  std::vector<Automaton::State> states;
  constexpr std::uint32_t kBegin = 0;
  constexpr std::uint32_t kMinus = 1;
  constexpr std::uint32_t kWhole = 2;
  constexpr std::uint32_t kPoint = 3;
  constexpr std::uint32_t kFraction = 4;
  const auto id_of = [&](std::uint32_t phase, std::uint32_t rest, std::uint32_t behind) {
    const std::array<std::uint32_t, 3> key = {phase, rest, behind};
    const auto [found, is_new] = ids.emplace(key, static_cast<std::uint32_t>(keys.size()));
    if (is_new) {
      if (keys.size() >= 4 * Automaton::kMaxStates) throw TooLarge();
      keys.push_back(key);
      std::uint64_t scaled = rest;
      for (std::size_t i = behind; i < k; ++i) scaled = scaled * 10 % m;
      states.push_back({(phase == kWhole || phase == kFraction) && scaled == 0});
    }
    return found->second;
  };
  (void)id_of(kBegin, 0, 0);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto [phase, rest, behind] = keys[i];
    std::vector<Automaton::Edge> edges;
    if (phase == kBegin) edges.push_back({{'-', '-'}, id_of(kMinus, 0, 0)});
    if (phase == kWhole && n_behind > 0) edges.push_back({{'.', '.'}, id_of(kPoint, rest, 0)});
    const bool is_behind = phase == kPoint || phase == kFraction;
    if (!is_behind || behind < n_behind) {
      for (std::uint32_t c = '0'; c <= '9'; ++c) {
        const std::uint32_t next = (rest * 10 + (c - '0')) % m;
        edges.push_back(
            {{c, c}, id_of(is_behind ? kFraction : kWhole, next, is_behind ? behind + 1 : 0)});
      }
    }
    states[i].edges = std::move(edges);
  }
  return Automaton(std::move(states));
}

Automaton multiples_of(const Decimal& value, bool is_integer) {
  constexpr std::size_t kMostDigits = 15;
  std::string all = value.whole + value.fraction;
  std::size_t n_zeros = 0;
  while (all.size() > 1 && all.back() == '0') {
    all.pop_back();
    ++n_zeros;
  }
  all.erase(0, std::min(all.find_first_not_of('0'), all.size() - 1));
  const std::size_t k = value.fraction.size();
  if (all == "1" && k == 0 && n_zeros <= kMostDigits) {
    // A power of ten: zeros at the end, or zero.
    std::vector<Regex> ways = {written("0")};
    ways.push_back(
        in_sequence({digit('1'), digits(0, Regex::kNoLimit), written(std::string(n_zeros, '0'))}));
    return Automaton::of(then(optional(written("-")), any_of(std::move(ways))));
  }
  constexpr std::uint32_t kMost = 2000;
  const bool fits = all.size() <= 4 && n_zeros <= 3 && k <= kMostDigits;
  std::uint32_t m = fits ? static_cast<std::uint32_t>(std::stoul(all)) : kMost + 1;
  for (std::size_t i = 0; i < n_zeros && m <= kMost; ++i) m *= 10;
  if (m > kMost || static_cast<std::size_t>(m) * (k + 1) > 2 * Automaton::kMaxStates) {
    throw std::invalid_argument("only powers of ten, and up to 2000 times one, are supported");
  }
  return multiples(m, k, is_integer);
}

NumberLimit bounded(const NumberLimit& limit) {
  if (limit.value.whole.size() <= kMostWholeDigits) return limit;
  Decimal value;
  value.is_negative = limit.value.is_negative;
  value.whole = "1" + std::string(kMostWholeDigits - 1, '0');
  return {value, false};
}

// The numbers from least to most, as they are written.
Automaton both_signs(const NumberLimits& limits, const Sizes& sizes) {
  const bool has_negative = !limits.least || limits.least->value.is_negative;
  const bool has_positive = !limits.most || !limits.most->value.is_negative;
  Automaton positive({});
  Automaton negative({});
  if (has_positive) {
    positive = magnitudes(has_negative ? std::nullopt : limits.least, limits.most, sizes);
  }
  if (has_negative) {
    std::optional<NumberLimit> from = has_positive ? std::nullopt : mirrored(limits.most);
    if (has_positive && limits.most && limits.most->value.is_zero() && limits.most->is_exclusive) {
      from = limits.most;
    }
    // "-0" is no integer that readers agree on.
    if (limits.is_integer && (!from || from->value.is_zero())) {
      from = NumberLimit{Decimal::parse("1"), false};
    }
    negative = with_minus(magnitudes(from, mirrored(limits.least), sizes));
  }
  return either(positive, negative);
}

}  // namespace

void NumberLimits::add_least(const NumberLimit& limit) {
  const int order = least ? compare(limit.value, least->value) : 1;
  if (order > 0 || (order == 0 && limit.is_exclusive)) least = limit;
}
void NumberLimits::add_most(const NumberLimit& limit) {
  const int order = most ? compare(limit.value, most->value) : -1;
  if (order < 0 || (order == 0 && limit.is_exclusive)) most = limit;
}

Automaton numbers_within(const NumberLimits& given) {
  NumberLimits limits = given;
  Sizes sizes;
  std::size_t n_given = 0;  // digits of a limit
  // Limits that no text reaches: numbers have at most kMostWholeDigits digits.
  if (limits.least && limits.least->value.is_negative) limits.least = bounded(*limits.least);
  if (limits.most && !limits.most->value.is_negative) limits.most = bounded(*limits.most);
  for (auto* limit : {&limits.least, &limits.most}) {
    if (!*limit) continue;
    NumberLimit& at = **limit;
    if (at.value.whole.size() > kMostWholeDigits) return Automaton({});
    if (limits.is_integer) {
      const bool is_least = limit == &limits.least;
      const Decimal whole = is_least ? ceiling(at.value) : floor(at.value);
      const bool moves = at.is_exclusive && at.value.is_whole();
      at = {moves ? (is_least ? plus_one(whole) : minus_one(whole)) : whole, false};
    } else if (at.is_exclusive) {
      const std::size_t n = at.value.whole.size();
      sizes.n_fraction =
          std::min(sizes.n_fraction, n < kFractionDigits ? kFractionDigits - n : std::size_t{0});
    }
    n_given = std::max(n_given, at.value.whole.size());
    sizes.n_whole = std::max(sizes.n_whole, n_given);
  }
  if (limits.is_integer) sizes.n_fraction = 0;
  // Doubles do not hold every whole number of 16 digits, so readers would see another one.
  if (!limits.multiples_of.empty()) sizes.n_whole = std::max<std::size_t>(kFractionDigits, n_given);
  if (!limits.is_integer) {
    for (const auto* limit : {&limits.least, &limits.most}) {
      if (!*limit) continue;
      const std::size_t n = (*limit)->value.fraction.size();
      if (n > 60) throw TooLarge();
      if (n > 0)
        sizes.n_fraction = std::max(sizes.n_fraction, n + ((*limit)->is_exclusive ? 1 : 0));
    }
  }
  Automaton out = both_signs(limits, sizes);
  for (const Decimal& value : limits.multiples_of) {
    out = common(out, multiples_of(value, limits.is_integer)).smaller();
  }
  constexpr std::size_t kMostStates = 6000;
  if (out.states().size() > kMostStates) throw TooLarge();
  return out;
}

}  // namespace gumbelspec::structure
