#include "apps/server/http/api_keys.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace gumbelspec::server {
namespace {

// Looks at every byte whatever the others were; volatile, so that the compiler does not stop early.
bool equal_in_constant_time(std::string_view a, std::string_view b) {
  volatile unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const char c = i < a.size() ? a[i] : '\0';
    difference = static_cast<unsigned char>(difference | (c ^ b[i]));
  }
  return difference == 0;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

}  // namespace

ApiKeys::ApiKeys(std::vector<std::string> keys) : keys_(std::move(keys)) {
  keys_.erase(std::remove(keys_.begin(), keys_.end(), std::string()), keys_.end());
}

bool ApiKeys::accept(std::string_view key) const {
  if (keys_.empty()) return true;
  bool is_known = false;
  for (const std::string& known : keys_) {
    const bool is_equal = equal_in_constant_time(key, known);
    is_known = is_known || is_equal;
  }
  return is_known;
}

std::string key_of_authorization(std::string_view value) {
  constexpr std::string_view kScheme = "bearer";
  value = trimmed(value);
  const std::string_view scheme = value.substr(0, std::min(value.find(' '), value.size()));
  const bool is_bearer =
      std::equal(scheme.begin(), scheme.end(), kScheme.begin(), kScheme.end(),
                 [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
  return is_bearer ? std::string(trimmed(value.substr(scheme.size()))) : std::string();
}

std::vector<std::string> keys_of_lines(std::string_view text) {
  std::vector<std::string> keys;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    if (!line.empty() && line[0] != '#') keys.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return keys;
}

}  // namespace gumbelspec::server
