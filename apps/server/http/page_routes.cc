// The page's files, and what there is for those who do not take HTML.
#include <string>
#include <string_view>

#include "apps/server/http/endpoints.h"
#include "apps/server/http/http_state.h"
#include "apps/server/http/static_files.h"

namespace gumbelspec::server {
namespace {

constexpr const char* kPlain = "text/plain; charset=utf-8";

std::string greeting() {
  std::string text = std::string("gumbelspec ") + GUMBELSPEC_VERSION + "\n\n";
  for (const EndpointDoc& endpoint : endpoint_docs()) {
    text += std::string(endpoint.method) + " " + std::string(endpoint.path) + "\n";
  }
  return text;
}

void send_static(const StaticFile& file, const httplib::Request& request,
                 httplib::Response& response) {
  response.set_header("Content-Security-Policy", std::string(kContentSecurityPolicy));
  response.set_header("Referrer-Policy", "no-referrer");
  response.set_header("X-Content-Type-Options", "nosniff");
  // Asked about each time: another program may listen here tomorrow.
  response.set_header("Cache-Control", "no-cache");
  response.set_header("ETag", std::string(file.etag));
  response.set_header("Vary", "Accept, Accept-Encoding");
  if (request.get_header_value("If-None-Match") == file.etag) {
    response.status = 304;
    return;
  }
  const bool is_compressed = accepts_gzip(request.get_header_value("Accept-Encoding"));
  if (is_compressed) response.set_header("Content-Encoding", "gzip");
  const std::string_view bytes = is_compressed ? file.gzip : file.bytes;
  response.set_content(bytes.data(), bytes.size(), std::string(file.content_type));
}

// The page, or a list of what there is for those who do not take HTML.
void send_front(const StaticFile& page, const httplib::Request& request,
                httplib::Response& response) {
  const std::string accepted = request.get_header_value("Accept");
  const auto accepts = [&](const char* type) { return accepted.find(type) != std::string::npos; };
  if (accepted.empty() || accepts("text/html") || accepts("*/*")) {
    send_static(page, request, response);
  } else {
    response.set_header("Vary", "Accept");
    response.set_content(greeting(), kPlain);
  }
}

}  // namespace

void add_page_routes(httplib::Server& server, const HttpState& state) {
  for (const StaticFile& file : static_files()) {
    const auto send = file.path == "/" ? send_front : send_static;
    add_get(server, state, std::string(file.path),
            [&file, send](const auto& request, auto& response) { send(file, request, response); });
  }
}

}  // namespace gumbelspec::server
