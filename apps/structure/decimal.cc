#include "apps/structure/decimal.h"

#include <algorithm>
#include <cstdlib>

namespace gumbelspec::structure {
namespace {

// Removes what says nothing.
void tidy(Decimal& value) {
  const std::size_t first = value.whole.find_first_not_of('0');
  value.whole.erase(0, first == std::string::npos ? value.whole.size() : first);
  if (value.whole.empty()) value.whole = "0";
  value.fraction.erase(value.fraction.find_last_not_of('0') + 1);
  if (value.is_zero()) value.is_negative = false;
}

int compare_digits(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size() ? -1 : 1;
  if (const int order = a.whole.compare(b.whole); order != 0) return order;
  return a.fraction.compare(b.fraction);
}

Decimal one_further(Decimal value) {
  std::size_t i = value.whole.size();
  while (i > 0 && value.whole[i - 1] == '9') value.whole[--i] = '0';
  if (i == 0) {
    value.whole.insert(0, "1");
  } else {
    ++value.whole[i - 1];
  }
  return value;
}

Decimal one_nearer(Decimal value) {
  std::size_t i = value.whole.size();
  while (value.whole[i - 1] == '0') value.whole[--i] = '9';
  --value.whole[i - 1];
  tidy(value);
  return value;
}

Decimal truncated(Decimal value) {
  value.fraction.clear();
  tidy(value);
  return value;
}

}  // namespace

std::optional<Decimal> Decimal::try_parse(std::string_view text) {
  Decimal value;
  value.whole.clear();
  if (!text.empty() && text[0] == '-') {
    value.is_negative = true;
    text.remove_prefix(1);
  }
  long exponent = 0;
  if (const std::size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
    const std::string digits(text.substr(e + 1));
    if (digits.size() > 6) return std::nullopt;
    exponent = std::strtol(digits.c_str(), nullptr, 10);
    text = text.substr(0, e);
  }
  const std::size_t point = text.find('.');
  value.whole = std::string(text.substr(0, point));
  if (point != std::string_view::npos) value.fraction = std::string(text.substr(point + 1));
  tidy(value);
  if (value.is_zero()) return Decimal{};
  for (; exponent > 0; --exponent) {
    value.whole.push_back(value.fraction.empty() ? '0' : value.fraction[0]);
    if (!value.fraction.empty()) value.fraction.erase(0, 1);
    if (value.whole.size() > 2 * kMaxDigits) return std::nullopt;
  }
  for (; exponent < 0; ++exponent) {
    value.fraction.insert(0, 1, value.whole.empty() ? '0' : value.whole.back());
    if (!value.whole.empty()) value.whole.pop_back();
    if (value.fraction.size() > 2 * kMaxDigits) return std::nullopt;
  }
  tidy(value);
  if (value.whole.size() > kMaxDigits || value.fraction.size() > kMaxDigits) return std::nullopt;
  return value;
}

std::string Decimal::text() const {
  return (is_negative ? "-" : "") + whole + (fraction.empty() ? "" : "." + fraction);
}

Decimal Decimal::negated() const {
  Decimal value = *this;
  value.is_negative = !is_negative && !is_zero();
  return value;
}

int compare(const Decimal& a, const Decimal& b) {
  if (a.is_negative != b.is_negative) return a.is_negative ? -1 : 1;
  return a.is_negative ? compare_digits(b, a) : compare_digits(a, b);
}

Decimal floor(const Decimal& value) {
  const Decimal whole = truncated(value);
  if (value.is_whole() || !value.is_negative) return whole;
  Decimal below = one_further(whole);
  below.is_negative = true;
  return below;
}

Decimal ceiling(const Decimal& value) { return floor(value.negated()).negated(); }

Decimal plus_one(const Decimal& value) {
  return value.is_negative ? one_nearer(value) : one_further(value);
}

Decimal minus_one(const Decimal& value) { return plus_one(value.negated()).negated(); }

}  // namespace gumbelspec::structure
