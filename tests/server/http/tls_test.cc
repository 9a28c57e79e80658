// HTTPS, with a certificate made for the occasion.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "tests/server/http/http_fixture.h"

namespace gumbelspec::testing {
namespace {

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

// A key, and a certificate that it has signed itself, as files that live as long as this.
class Certificate {
 public:
  Certificate() : cert_path_(path("cert")), key_path_(path("key")) {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_sign(certificate, key, EVP_sha256());
    PEM_write_X509(File(std::fopen(cert_path_.c_str(), "w")).get(), certificate);
    PEM_write_PrivateKey(File(std::fopen(key_path_.c_str(), "w")).get(), key, nullptr, nullptr, 0,
                         nullptr, nullptr);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  ~Certificate() {
    ::unlink(cert_path_.c_str());
    ::unlink(key_path_.c_str());
  }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  [[nodiscard]] const std::string& cert_path() const { return cert_path_; }
  [[nodiscard]] const std::string& key_path() const { return key_path_; }

 private:
  static std::string path(const std::string& what) {
    return ::testing::TempDir() + "gumbelspec-" + what + "-" + std::to_string(::getpid()) + ".pem";
  }
  std::string cert_path_;
  std::string key_path_;
};

TEST_F(HttpTest, ServesHttps) {
  const Certificate certificate;
  server::HttpOptions options;
  options.ssl_cert_file = certificate.cert_path();
  options.ssl_key_file = certificate.key_path();
  listen(options);
  serve();
  EXPECT_EQ(http_->url(), "https://127.0.0.1:" + std::to_string(port()));
  httplib::SSLClient client("127.0.0.1", port());
  client.enable_server_certificate_verification(false);
  for (const bool streams : {false, true}) {
    const auto result = client.Post("/v1/completions", body("a", 3, streams), "application/json");
    ASSERT_TRUE(result) << httplib::to_string(result.error());
    EXPECT_EQ(result->status, 200);
  }
  // Not without.
  EXPECT_FALSE(HttpTest::client().Get("/health"));
}

TEST_F(HttpTest, RefusesAKeyThatIsAnothers) {
  const Certificate one;
  server::HttpOptions options;
  options.ssl_cert_file = one.cert_path();
  options.ssl_key_file = one.cert_path();
  EXPECT_THROW(listen(options), Error);
}

}  // namespace
}  // namespace gumbelspec::testing
