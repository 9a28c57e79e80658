#include "tests/server/http/http_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <utility>

namespace gumbelspec::testing {

std::vector<TokenId> ByteTokenizer::tokenize(std::string_view text,
                                             const TokenizeOptions& /*options*/) const {
  std::vector<TokenId> tokens;
  for (const char c : text) tokens.push_back(token_id(static_cast<unsigned char>(c) % 128U));
  return tokens;
}

// All tokens behind z are letters again.
std::string ByteTokenizer::piece(TokenId token) const {
  const std::size_t i = index(token);
  return {static_cast<char>(i < 'a' ? i : 'a' + (i - 'a') % 26)};
}

server::ApiModel byte_model() {
  server::ApiModel model;
  model.tokenizer = std::make_shared<ByteTokenizer>();
  model.compile_grammar = [](const std::string&,
                             const GrammarTrigger&) -> std::shared_ptr<const Grammar> {
    throw Error(ErrorCode::invalid_option, "no grammars here");
  };
  model.chat_template = std::make_shared<server::ChatTemplate>("", "", "");
  model.id = "bytes";
  model.n_context = 10'000'000;
  return model;
}

RawClient::RawClient(int port, bool small_buffer) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (small_buffer) {
    const int bytes = 4096;
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    throw std::runtime_error("cannot connect");
  }
}

RawClient::~RawClient() { close(); }

void RawClient::close() {
  if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

void RawClient::send(const std::string& bytes) const {
  if (::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("cannot send");
  }
}

void RawClient::end_sending() const { ::shutdown(socket_, SHUT_WR); }

void RawClient::post(const std::string& path, const std::string& body, const std::string& headers) {
  send("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
       headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

const std::string& RawClient::read_until(const std::string& text) {
  std::array<char, 4096> buffer{};
  while (received_.find(text) == std::string::npos) {
    const ssize_t n = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (n <= 0) break;
    received_.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return received_;
}

HttpTest::HttpTest() = default;

HttpTest::~HttpTest() {
  control_->release();
  http_.reset();
}

void HttpTest::listen(server::HttpOptions options) {
  options.port = 0;
  options.log = [this](const std::string& line) {
    const std::lock_guard lock(mutex_);
    log_.push_back(line);
  };
  http_.emplace(std::move(options), metrics_);
}

void HttpTest::serve(server::ServiceOptions options) {
  auto engine = std::make_unique<FakeEngine>(control_, options.n_active);
  service_.emplace(byte_model(), std::move(engine), std::move(options), metrics_);
  http_->set_service(*service_);
}

httplib::Client HttpTest::client() const {
  httplib::Client client("127.0.0.1", port());
  client.set_read_timeout(60);
  return client;
}

std::string HttpTest::body(const std::string& prompt, int n, bool streams) {
  return Json({{"prompt", prompt}, {"max_tokens", n}, {"stream", streams}}).dump();
}

std::vector<std::string> HttpTest::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

std::vector<std::string> events_of(const std::string& text) {
  const std::string begin = "data: ";
  std::vector<std::string> events;
  for (std::size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at)) {
    at += begin.size();
    const std::size_t end = text.find("\n\n", at);
    events.push_back(text.substr(at, end - at));
  }
  return events;
}

}  // namespace gumbelspec::testing
