#include "gumbelspec/error.h"

#include <cctype>
#include <cstddef>

namespace gumbelspec {
namespace {

bool is_of_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// The first place where the name stands as a word; text.size(): nowhere.
std::size_t find_word(const std::string& text, const std::string& name) {
  for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    const std::size_t end = at + name.size();
    const bool is_word =
        (at == 0 || !is_of_name(text[at - 1])) && (end == text.size() || !is_of_name(text[end]));
    if (is_word) return at;
  }
  return text.size();
}

}  // namespace

std::string Error::message_with(const std::function<std::string(std::string_view)>& name_of) const {
  std::string text = what();
  for (const std::string* name : {&field_, &remedy_}) {
    if (name->empty()) continue;
    const std::string said = name_of(*name);
    const std::size_t at = find_word(text, *name);
    if (!said.empty() && at < text.size()) text.replace(at, name->size(), said);
  }
  return text;
}

}  // namespace gumbelspec
