// Vectors and ranks, one request after the other: no sockets.
#ifndef GUMBELSPEC_APPS_SERVER_SERVICE_EMBEDDING_SERVICE_H_
#define GUMBELSPEC_APPS_SERVER_SERVICE_EMBEDDING_SERVICE_H_

#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/api/embeddings.h"
#include "apps/server/service/metrics.h"

namespace gumbelspec::server {

// Threads: any, but for the destructor.
class EmbeddingService {
 public:
  // n_waiting: requests that may wait besides the one that is answered.
  // Lifetime: what is behind the model, and metrics, outlive the service.
  EmbeddingService(ApiModel model, EmbeddingModel embeddings, std::size_t n_waiting,
                   Metrics& metrics);
  EmbeddingService(const EmbeddingService&) = delete;
  EmbeddingService& operator=(const EmbeddingService&) = delete;

  [[nodiscard]] bool ranks() const { return embeddings_.pooling == Pooling::rank; }

  // A body to the body of its answer, see parse_embeddings() and parse_rank(). Throws: ApiError;
  // 429 where the queue is full. Cost: the passes, after those of the requests before it.
  [[nodiscard]] std::string embed(std::string_view body, bool is_native);
  [[nodiscard]] std::string rank(std::string_view body);

 private:
  std::vector<std::vector<float>> run(const std::vector<std::vector<TokenId>>& texts,
                                      std::size_t n_tokens);

  const ApiModel model_;
  const EmbeddingModel embeddings_;
  const std::size_t n_waiting_;
  Metrics& metrics_;
  std::atomic<std::size_t> n_requests_{0};  // answered and waiting
  std::mutex mutex_;                        // of the embedder, and of what follows
  BatchStatistics statistics_;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_SERVICE_EMBEDDING_SERVICE_H_
