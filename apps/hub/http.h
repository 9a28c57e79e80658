// GET, with the redirections of a model hub followed and its refusals in words.
#ifndef GUMBELSPEC_APPS_HUB_HTTP_H_
#define GUMBELSPEC_APPS_HUB_HTTP_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "apps/hub/hub.h"

namespace gumbelspec::hub {

struct Response {
  int status = 0;              // 0: there is no answer; failure says why
  std::string failure = {};    // "connection refused"
  std::uint64_t n_total = 0;   // of the whole file, where the server tells
  std::uint64_t n_before = 0;  // 206: bytes of the file before what came
  std::string body = {};       // where no receiver was given
  [[nodiscard]] bool is_ok() const { return status == 200 || status == 206; }
};

// begin: called once the headers are there; then the bytes go to receive, which returns false to
// stop. from: bytes of the file that are not asked for again.
struct Receiver {
  std::uint64_t from = 0;
  std::function<bool(const Response&)> begin = {};
  std::function<bool(std::string_view)> receive = {};
};

// null receiver: the body goes into the response. Throws: Error{file_not_found} for a URL that is
// none, or needs TLS in a build without; Cancelled.
[[nodiscard]] Response get(const std::string& url, const Settings& settings,
                           const Receiver* receiver = nullptr);

// One line for a response that is not what was asked for. what: "the repository user/model".
[[nodiscard]] Error refusal(const std::string& what, const Response& response,
                            const Settings& settings);

}  // namespace gumbelspec::hub

#endif  // GUMBELSPEC_APPS_HUB_HTTP_H_
