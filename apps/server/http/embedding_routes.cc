// Vectors of texts and ranks of documents over HTTP.
#include <string>

#include "apps/server/http/http_state.h"

namespace gumbelspec::server {
namespace {

constexpr const char* kJson = "application/json";

// Its requests are finished before the server stops.
class Work {
 public:
  explicit Work(HttpState& state) : state_(state) { state_.under_way.begin(); }
  ~Work() { state_.under_way.end(); }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

 private:
  HttpState& state_;
};

EmbeddingService& ready(HttpState& state, const ApiError& error) {
  EmbeddingService* embeddings = state.embeddings.load();
  if (embeddings == nullptr) throw error;
  return *embeddings;
}

}  // namespace

void add_embedding_routes(httplib::Server& server, HttpState& state) {
  const auto add = [&](const char* path, bool is_native) {
    add_post(server, state, path,
             [&state, is_native](const auto& /*request*/, auto& response, auto& body) {
               EmbeddingService& embeddings = ready(state, makes_no_vectors());
               const Work work(state);
               response.set_content(embeddings.embed(body, is_native), kJson);
             });
  };
  add("/v1/embeddings", false);
  add("/embeddings", true);
  add("/embedding", true);
  for (const char* path : {"/v1/rerank", "/v1/reranking", "/rerank", "/reranking"}) {
    add_post(server, state, path, [&state](const auto& /*request*/, auto& response, auto& body) {
      EmbeddingService& embeddings = ready(state, ranks_nothing());
      const Work work(state);
      response.set_content(embeddings.rank(body), kJson);
    });
  }
}

}  // namespace gumbelspec::server
