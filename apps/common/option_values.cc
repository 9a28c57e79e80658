// Options with a text or a number.
#include <charconv>
#include <system_error>

#include "apps/common/arguments.h"
#include "apps/common/option_spellings.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps {
namespace {

template <class Number>
std::optional<Number> parse_number(const std::string& text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stopped_at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped_at != end) return std::nullopt;
  return value;
}

}  // namespace

void add_text(Arguments& arguments, const std::string& names, const std::string& type,
              std::string& value, const std::string& description) {
  arguments.add_option(names, type, description,
                       [&value](const std::string& text) { value = text; });
}

void add_text(Arguments& arguments, const std::string& names, const std::string& type,
              std::optional<std::string>& value, const std::string& description) {
  arguments.add_option(names, type, description,
                       [&value](const std::string& text) { value = text; });
}

void add_integer(Arguments& arguments, const std::string& names, std::int64_t low,
                 std::int64_t high, const std::function<void(std::int64_t)>& set,
                 const std::string& description) {
  const auto parse = [=](const std::string& text) {
    const auto value = parse_number<std::int64_t>(text);
    if (!value || *value < low || *value > high) {
      throw bad_option(told_name(names) + " is " + in_quotes(text) + "; give a whole number from " +
                       std::to_string(low) + " to " + std::to_string(high));
    }
    set(*value);
  };
  arguments.add_option(names, "N", description, parse);
}

void add_number(Arguments& arguments, const std::string& names, float& value,
                const std::string& description) {
  arguments.add_option(names, "X", description, [names, &value](const std::string& text) {
    const auto number = parse_number<double>(text);
    if (!number) throw bad_option(told_name(names) + " is " + in_quotes(text) + "; give a number");
    value = static_cast<float>(*number);
  });
}

}  // namespace gumbelspec::apps
