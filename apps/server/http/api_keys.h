// Who may use the server.
#ifndef GUMBELSPEC_APPS_SERVER_HTTP_API_KEYS_H_
#define GUMBELSPEC_APPS_SERVER_HTTP_API_KEYS_H_

#include <string>
#include <string_view>
#include <vector>

namespace gumbelspec::server {

class ApiKeys {
 public:
  // No keys: everybody. Empty ones are left out.
  explicit ApiKeys(std::vector<std::string> keys = {});

  [[nodiscard]] bool empty() const { return keys_.empty(); }
  // Takes a time that depends on the lengths only, not on how much of a key was guessed.
  [[nodiscard]] bool accept(std::string_view key) const;

 private:
  std::vector<std::string> keys_;
};

// The key of an Authorization header, "Bearer KEY" with any spaces around it; empty: there is none.
[[nodiscard]] std::string key_of_authorization(std::string_view value);

// The keys in a text: one per line, white space around them and lines that begin with # left out.
[[nodiscard]] std::vector<std::string> keys_of_lines(std::string_view text);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_HTTP_API_KEYS_H_
