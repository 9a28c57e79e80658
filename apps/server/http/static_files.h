// The page's files, which are part of the program.
#ifndef GUMBELSPEC_APPS_SERVER_HTTP_STATIC_FILES_H_
#define GUMBELSPEC_APPS_SERVER_HTTP_STATIC_FILES_H_

#include <cstddef>
#include <span>
#include <string_view>

namespace gumbelspec::server {

struct StaticFile {
  std::string_view path;          // "/", "/app.js"
  std::string_view content_type;  // "text/html; charset=utf-8"
  std::string_view bytes;
  std::string_view gzip;  // the same, compressed
  std::string_view etag;  // changes with the bytes; with its quotes
};

// All of them, made of web/dist when the program is built (cmake/GumbelspecEmbed.cmake). They need
// no key. The page is at "/".
[[nodiscard]] std::span<const StaticFile> static_files();

// Null: there is none.
[[nodiscard]] const StaticFile* find_static_file(std::string_view path);

// Whether a request's Accept-Encoding header takes gzip.
[[nodiscard]] bool accepts_gzip(std::string_view accept_encoding);

// What every static file is sent with: it may load and ask this server only, run no inline
// scripts, and be framed by nobody.
inline constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_HTTP_STATIC_FILES_H_
