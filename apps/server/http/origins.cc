#include "apps/server/http/origins.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "gumbelspec/error.h"

namespace gumbelspec::server {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  return result;
}

// "name:80" -> "name", "[::1]:80" -> "[::1]". What is no port stays, and is no name.
std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos) {
    return host;
  }
  const std::string_view port = host.substr(colon + 1);
  const bool is_port =
      std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  return is_port ? host.substr(0, colon) : host;
}

bool is_address(const std::string& name) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  if (inet_pton(AF_INET, name.c_str(), bytes.data()) == 1) return true;
  return name.size() > 2 && name.front() == '[' && name.back() == ']' &&
         inet_pton(AF_INET6, name.substr(1, name.size() - 2).c_str(), bytes.data()) == 1;
}

bool is_host_name(std::string_view name) {
  return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

bool has(const std::vector<std::string>& list, const std::string& wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

// A page of this machine: http or https, localhost or a loopback address.
bool is_local_page(std::string_view origin) {
  const std::string page = lower(origin);
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (page.substr(0, scheme.size()) != scheme) continue;
    const std::string host(without_port(std::string_view(page).substr(scheme.size())));
    return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
  }
  return false;
}

// What was sent is told back in one line of sane length.
std::string quoted(std::string_view sent) {
  std::string text(sent.substr(0, 100));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7F; }, '?');
  return "\"" + text + "\"";
}

}  // namespace

std::string why_host_refused(const OriginRules& rules, std::string_view host) {
  if (host.empty() || has(rules.hosts, "*")) return {};
  std::string name = lower(without_port(host));
  if (is_address(name)) return {};
  if (!name.empty() && name.back() == '.') name.pop_back();
  if (name == "localhost" || has(rules.hosts, name)) return {};
  return "this server is not called " + quoted(host) +
         "; use its address or localhost, or start it with --allowed-hosts";
}

bool is_origin_rule(std::string_view text) {
  if (text.empty() || text == "*" || text == "localhost") return true;
  const std::size_t colons = text.find("://");
  if (colons == 0 || colons == std::string_view::npos) return false;
  // No path, no user, nothing that a browser would not send.
  const std::string host = lower(without_port(text.substr(colons + 3)));
  return text.find_first_of("/?#@ ", colons + 3) == std::string_view::npos &&
         (is_host_name(host) || is_address(host));
}

std::string allowed_origin(const OriginRules& rules, std::string_view origin) {
  // Any page by its name, as llama.cpp's server has it.
  if (rules.cors_origin == "*") return origin.empty() ? "*" : std::string(origin);
  if (rules.cors_origin != "localhost") return rules.cors_origin;
  return is_local_page(origin) ? std::string(origin) : std::string();
}

std::string why_origin_refused(const OriginRules& rules, const Sender& sender) {
  if (sender.origin.empty() || rules.cors_origin == "*") return {};
  if (sender.origin == allowed_origin(rules, sender.origin)) return {};
  // The server's own page.
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (lower(sender.origin.substr(0, scheme.size())) == scheme && !sender.host.empty() &&
        lower(sender.origin.substr(scheme.size())) == lower(sender.host)) {
      return {};
    }
  }
  return "web pages of " + quoted(sender.origin) +
         " may not use this server; start it with --cors-origin to let them";
}

bool hides_json(const Sender& sender) {
  if (sender.origin.empty() || !sender.has_body) return false;
  std::string_view type = sender.content_type.substr(0, sender.content_type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return lower(type) != "application/json";
}

std::vector<std::string> host_names(const std::string& list) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    std::string name = lower(std::string_view(list).substr(begin, end - begin));
    begin = end + 1;
    name.erase(0, name.find_first_not_of(' '));
    name.erase(name.find_last_not_of(' ') + 1);
    if (name.empty()) continue;
    if (name != "*" && !is_host_name(name)) {
      throw Error(ErrorCode::invalid_option,
                  "--allowed-hosts has " + quoted(name) +
                      ", which is no name of a host; give names without port, separated by "
                      "commas, or *");
    }
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace gumbelspec::server
