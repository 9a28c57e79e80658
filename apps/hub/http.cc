#include "apps/hub/http.h"

#include <httplib.h>

#include <charconv>
#include <string>

#include "apps/common/utf8_stream.h"

namespace gumbelspec::hub {
namespace {

constexpr int kMostRedirections = 10;
constexpr std::size_t kMostBody = std::size_t{64} << 20U;  // of an answer that is kept in memory

struct Url {
  std::string origin;  // "https://host:port"
  std::string path;    // with the query
};

Url parse(const std::string& url) {
  const bool is_tls = url.rfind("https://", 0) == 0;
  if (!is_tls && url.rfind("http://", 0) != 0) {
    throw Error(ErrorCode::file_not_found, "the address " + apps::in_quotes(url) +
                                               " is none of the web; give one that begins "
                                               "with https:// or http://");
  }
#ifndef CPPHTTPLIB_OPENSSL_SUPPORT
  if (is_tls) {
    throw Error(ErrorCode::file_not_found,
                apps::in_quotes(url) +
                    " needs TLS, which this build does not have; install libssl-dev and build "
                    "again, or fetch the file otherwise and give it with -m");
  }
#endif
  const std::size_t host = url.find("://") + 3;
  const std::size_t slash = std::min(url.find_first_of("/?", host), url.size());
  if (slash == host) {
    throw Error(ErrorCode::file_not_found,
                "the address " + apps::in_quotes(url) + " names no machine; give one");
  }
  std::string path = url.substr(slash);
  if (path.empty() || path[0] != '/') path.insert(0, "/");
  return {url.substr(0, slash), path};
}

// Of "bytes 100-199/1000".
void read_range(const std::string& text, Response& response) {
  const std::size_t digits = text.find_first_of("0123456789");
  const std::size_t slash = text.find('/');
  if (digits == std::string::npos || slash == std::string::npos) return;
  std::from_chars(text.data() + digits, text.data() + text.size(), response.n_before);
  std::from_chars(text.data() + slash + 1, text.data() + text.size(), response.n_total);
}

bool is_redirection(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// One request, with what came of it.
class Request {
 public:
  Request(const Url& url, const Settings& settings, const Receiver* receiver)
      : url_(url), settings_(settings), receiver_(receiver), client_(url.origin) {
    client_.set_follow_location(false);
    client_.set_connection_timeout(settings.timeout);
    client_.set_read_timeout(settings.timeout);
    client_.set_keep_alive(false);
    // Redirections go to addresses that are written as they are to be sent.
    client_.set_path_encode(false);
  }

  Response run(std::string& location) {
    httplib::Headers headers{{"User-Agent", "gumbelspec"}, {"Accept", "*/*"}};
    // A token is for the endpoint, not for where it sends us.
    const bool is_endpoint = settings_.endpoint.rfind(url_.origin + "/", 0) == 0;
    if (!settings_.token.empty() && is_endpoint) {
      headers.emplace("Authorization", "Bearer " + settings_.token);
    }
    if (receiver_ != nullptr) {
      // Lengths are those of the file.
      headers.emplace("Accept-Encoding", "identity");
      if (receiver_->from > 0) {
        headers.emplace("Range", "bytes=" + std::to_string(receiver_->from) + "-");
      }
    }
    const httplib::Result result = client_.Get(
        url_.path, headers,
        [this](const httplib::Response& response) { return take_headers(response); },
        [this](const char* data, std::size_t n) {
          return take({data, n});
        });
    if (is_cancelled_) throw Cancelled();
    if (!result && !is_stopped_) {
      response_.failure = httplib::to_string(result.error());
      // What came before the connection broke is no answer, but a part of one.
      if (response_.status == 0 || receiver_ == nullptr) response_.status = 0;
      is_broken_ = true;
    }
    location = location_;
    return response_;
  }

 private:
  bool take_headers(const httplib::Response& response) {
    response_.status = response.status;
    location_ = response.get_header_value("Location");
    if (response.has_header("Content-Length")) {
      const std::string length = response.get_header_value("Content-Length");
      std::from_chars(length.data(), length.data() + length.size(), response_.n_total);
    }
    if (response.status == 206) read_range(response.get_header_value("Content-Range"), response_);
    if (receiver_ != nullptr && response_.is_ok() && !receiver_->begin(response_)) {
      is_stopped_ = true;
      return false;
    }
    return true;
  }

  bool take(std::string_view bytes) {
    if (settings_.is_cancelled && settings_.is_cancelled()) {
      is_cancelled_ = true;
      return false;
    }
    if (receiver_ != nullptr && response_.is_ok()) {
      if (receiver_->receive(bytes)) return true;
      is_stopped_ = true;
      return false;
    }
    if (response_.body.size() + bytes.size() > kMostBody) return false;
    response_.body += bytes;
    return true;
  }

  const Url& url_;
  const Settings& settings_;
  const Receiver* receiver_;
  httplib::Client client_;
  Response response_;
  std::string location_;
  bool is_cancelled_ = false;
  bool is_stopped_ = false;
  bool is_broken_ = false;
};

}  // namespace

Response get(const std::string& address, const Settings& settings, const Receiver* receiver) {
  std::string where = address;
  for (int i = 0; i <= kMostRedirections; ++i) {
    if (settings.is_cancelled && settings.is_cancelled()) throw Cancelled();
    const Url url = parse(where);
    std::string location;
    Response response = Request(url, settings, receiver).run(location);
    if (!is_redirection(response.status) || location.empty()) return response;
    where = location[0] == '/' ? url.origin + location : location;
  }
  return {0, "more than " + std::to_string(kMostRedirections) + " redirections"};
}

Error refusal(const std::string& what, const Response& response, const Settings& settings) {
  std::string why;
  switch (response.status) {
    case 0:
      why = "cannot be reached at " + settings.endpoint + ": " + response.failure +
            "; check the network, HF_ENDPOINT, or use --offline with what is in the cache";
      break;
    case 401:
    case 403:
      why = "is refused (HTTP " + std::to_string(response.status) +
            "): it is private, gated, or not there; " +
            (settings.token.empty() ? "give a token with HF_TOKEN or -hft"
                                    : "check the token, and accept the terms on its page");
      break;
    case 404:
      why = "is not there (HTTP 404); check the spelling";
      break;
    case 429:
      why = "is refused for now: too many requests (HTTP 429); try again later, or give a token";
      break;
    default:
      why = "is refused (HTTP " + std::to_string(response.status) + "); try again later";
  }
  return {ErrorCode::file_not_found, what + " " + why};
}

}  // namespace gumbelspec::hub
