#include "tests/hub/fake_hub.h"

#include <gtest/gtest.h>
#include <httplib.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

extern "C" {
#include <sha256.h>
}

namespace gumbelspec::hub::testing {

using Json = nlohmann::json;
namespace fs = std::filesystem;

std::string sha256_of(const std::string& bytes) {
  sha256_t state;
  sha256_init(&state);
  sha256_update(&state, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  std::array<unsigned char, SHA256_DIGEST_SIZE> digest{};
  sha256_final(&state, digest.data());
  std::string text;
  for (const unsigned char byte : digest) {
    text += "0123456789abcdef"[byte >> 4U];
    text += "0123456789abcdef"[byte & 15U];
  }
  return text;
}

std::string content_of(const fs::path& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

FakeHub::FakeHub(std::map<std::string, std::string> files) : files_(std::move(files)) {
  std::string name = ::testing::TempDir() + "hub.XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder");
  folder_ = name;
  api_ = std::make_unique<httplib::Server>();
  cdn_ = std::make_unique<httplib::Server>();
  set_up();
  set_up_files(*cdn_);
  api_port_ = api_->bind_to_any_port("127.0.0.1");
  cdn_port_ = cdn_->bind_to_any_port("127.0.0.1");
  for (httplib::Server* server : {api_.get(), cdn_.get()}) {
    server->set_pre_routing_handler([this](const httplib::Request& request, httplib::Response&) {
      const std::lock_guard lock(mutex_);
      requests_.push_back({request.path, request.get_header_value("Authorization"),
                           request.get_header_value("Range")});
      return httplib::Server::HandlerResponse::Unhandled;
    });
    threads_.emplace_back([server] { server->listen_after_bind(); });
    server->wait_until_ready();
  }
}

FakeHub::~FakeHub() {
  stalls = false;
  api_->stop();
  cdn_->stop();
  for (std::thread& thread : threads_) thread.join();
  fs::remove_all(folder_);
}

std::string FakeHub::url() const { return "http://127.0.0.1:" + std::to_string(api_port_) + "/"; }
std::string FakeHub::cdn_url() const {
  return "http://127.0.0.1:" + std::to_string(cdn_port_) + "/";
}

Settings FakeHub::settings() const {
  Settings settings;
  settings.endpoint = url();
  settings.cache = (folder_ / "hub").string();
  settings.url_cache = (folder_ / "urls").string();
  settings.timeout = std::chrono::seconds(20);
  settings.pause = std::chrono::milliseconds(1);
  return settings;
}

std::vector<Request> FakeHub::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::size_t FakeHub::n_requests(const std::string& beginning) const {
  std::size_t n = 0;
  for (const Request& request : requests()) n += request.path.rfind(beginning, 0) == 0 ? 1 : 0;
  return n;
}

void FakeHub::set_up() {
  const auto answer = [this](const httplib::Request& request, httplib::Response& response,
                             const Json& json) {
    response.status = api_status;
    if (needs_token && request.get_header_value("Authorization") != "Bearer secret") {
      response.status = 401;
    }
    response.set_content(is_not_json ? "<html>" : json.dump(), "application/json");
  };
  api_->Get("/api/models/user/model/refs", [=](const auto& request, auto& response) {
    answer(request, response,
           {{"branches",
             {{{"name", "other"}, {"targetCommit", std::string(40, 'f')}},
              {{"name", "main"}, {"targetCommit", kCommit}}}}});
  });
  api_->Get(std::string("/api/models/user/model/tree/") + kCommit,
            [=, this](const auto& request, auto& response) {
              Json list = Json::array({{{"type", "directory"}, {"path", "folder"}}});
              for (const auto& [path, bytes] : files_) {
                const std::string sum = has_wrong_sums ? std::string(64, '0') : sha256_of(bytes);
                list.push_back({{"type", "file"},
                                {"path", path},
                                {"oid", std::string(40, 'a')},
                                {"size", bytes.size() + size_told_more},
                                {"lfs", {{"oid", sum}, {"size", bytes.size() + size_told_more}}}});
              }
              answer(request, response, list);
            });
  api_->Get(std::string("/user/model/resolve/") + kCommit + "/(.*)",
            [this](const auto& request, auto& response) {
              response.set_redirect(
                  redirects_forever
                      ? request.path
                      : cdn_url() + "blob/" + std::string(request.matches[1]) + "?signature=a%2Bb",
                  302);
            });
}

void FakeHub::set_up_files(httplib::Server& server) {
  server.Get("/blob/(.*)", [this](const httplib::Request& request, httplib::Response& response) {
    const auto found = files_.find(std::string(request.matches[1]));
    if (found == files_.end() || file_status != 200) {
      response.status = found == files_.end() ? 404 : file_status.load();
      return;
    }
    const std::string& bytes = found->second;
    if (ignores_ranges) const_cast<httplib::Request&>(request).ranges.clear();
    const bool is_cut = cuts > 0;
    if (is_cut) --cuts;
    response.set_content_provider(
        bytes.size(), "application/octet-stream",
        [this, &bytes, is_cut](std::size_t offset, std::size_t n, httplib::DataSink& sink) {
          const std::size_t n_now = stalls && offset > 0 ? 0 : is_cut || stalls ? (n + 1) / 2 : n;
          sink.write(bytes.data() + offset, n_now);
          while (stalls) std::this_thread::sleep_for(std::chrono::milliseconds(20));
          return !is_cut;
        });
  });
}

}  // namespace gumbelspec::hub::testing
