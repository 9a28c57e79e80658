// A server on a free port of this machine, whose texts are the alphabet from the prompt's first
// letter on; and clients for it.
#ifndef GUMBELSPEC_TESTS_SERVER_HTTP_HTTP_FIXTURE_H_
#define GUMBELSPEC_TESTS_SERVER_HTTP_HTTP_FIXTURE_H_

#include <gtest/gtest.h>
#include <httplib.h>

#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/server/http/http_server.h"
#include "tests/server/service/fake_engine.h"

namespace gumbelspec::testing {

using Json = nlohmann::json;

// Tokens are bytes.
class ByteTokenizer final : public server::Tokenizer {
 public:
  [[nodiscard]] std::vector<TokenId> tokenize(std::string_view text,
                                              const TokenizeOptions& options) const override;
  [[nodiscard]] std::string piece(TokenId token) const override;
  [[nodiscard]] std::size_t n_vocab() const override { return 128; }
};

[[nodiscard]] server::ApiModel byte_model();

// A connection that sends what it is told and reads when it is told.
class RawClient {
 public:
  // small_buffer: what the kernel keeps for a client that does not read.
  explicit RawClient(int port, bool small_buffer = false);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void post(const std::string& path, const std::string& body, const std::string& headers = "");
  void send(const std::string& bytes) const;
  // Reads until text has come, or the connection has ended. Returns: everything so far.
  const std::string& read_until(const std::string& text);
  void end_sending() const;
  void close();

 private:
  int socket_ = -1;
  std::string received_;
};

class HttpTest : public ::testing::Test {
 protected:
  HttpTest();
  ~HttpTest() override;

  // Both must be called before the server is used; the second one may be late.
  void listen(server::HttpOptions options = {});
  void serve(server::ServiceOptions options = {.n_active = 2, .n_waiting = 2});

  [[nodiscard]] int port() const { return http_->port(); }
  [[nodiscard]] httplib::Client client() const;
  // A completion's body: text of n letters.
  static std::string body(const std::string& prompt, int n, bool streams = false);
  [[nodiscard]] std::vector<std::string> log() const;

  std::shared_ptr<FakeEngineControl> control_ = std::make_shared<FakeEngineControl>();
  server::Metrics metrics_{2};
  std::optional<server::Service> service_;
  std::optional<server::HttpServer> http_;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> log_;
};

// The data of server-sent events.
[[nodiscard]] std::vector<std::string> events_of(const std::string& text);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_SERVER_HTTP_HTTP_FIXTURE_H_
