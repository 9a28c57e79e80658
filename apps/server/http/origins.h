// Which hosts a request may name, and which web pages it may come from. A browser lets any page
// send requests to this machine; what it tells of the page is all there is to refuse them by.
#ifndef GUMBELSPEC_APPS_SERVER_HTTP_ORIGINS_H_
#define GUMBELSPEC_APPS_SERVER_HTTP_ORIGINS_H_

#include <string>
#include <string_view>
#include <vector>

namespace gumbelspec::server {

struct OriginRules {
  // Of other pages than the server's own; "*": any; "localhost": any of this machine's, under
  // whatever scheme and port; empty: none.
  std::string cors_origin = {};
  // What the server may be called besides addresses and localhost; "*": anything.
  std::vector<std::string> hosts = {};
};

// The headers of a request, as they came; empty: not sent.
struct Sender {
  std::string_view host;          // "127.0.0.1:8080"
  std::string_view origin;        // "https://page.example"
  std::string_view content_type;  // "application/json; charset=utf-8"
  bool has_body = false;          // a method that sends one
};

// Against pages that have a name of theirs point to this machine (DNS rebinding): their requests
// look like those of the server's own page, but for the name.
// Returns: why a request with this Host is refused; empty if it is not.
[[nodiscard]] std::string why_host_refused(const OriginRules& rules, std::string_view host);

// Returns: why a request of this page is refused; empty if it is not. Programs send no Origin.
[[nodiscard]] std::string why_origin_refused(const OriginRules& rules, const Sender& sender);

// A page may send plain text to any server without asking it first, but not JSON.
// Returns: whether a page sends a body under another name.
[[nodiscard]] bool hides_json(const Sender& sender);

// Whether it is one of OriginRules::cors_origin.
[[nodiscard]] bool is_origin_rule(std::string_view text);

// What Access-Control-Allow-Origin says to a page; empty: nothing.
[[nodiscard]] std::string allowed_origin(const OriginRules& rules, std::string_view origin);

// "first.example, second.example" in parts, lower case.
// Throws: Error{invalid_option} for what is no name of a host.
[[nodiscard]] std::vector<std::string> host_names(const std::string& list);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_HTTP_ORIGINS_H_
