#include "apps/server/service/embedding_service.h"

#include <chrono>
#include <utility>

namespace gumbelspec::server {

EmbeddingService::EmbeddingService(ApiModel model, EmbeddingModel embeddings, std::size_t n_waiting,
                                   Metrics& metrics)
    : model_(std::move(model)),
      embeddings_(std::move(embeddings)),
      n_waiting_(n_waiting),
      metrics_(metrics) {}

std::string EmbeddingService::embed(std::string_view body, bool is_native) {
  const EmbeddingRequest request = parse_embeddings(body, model_, embeddings_, is_native);
  return embeddings_answer(request, run(request.texts, request.n_tokens()), model_, embeddings_);
}

std::string EmbeddingService::rank(std::string_view body) {
  const RankRequest request = parse_rank(body, model_, embeddings_);
  return rank_answer(request, run(request.pairs, request.n_tokens()), model_);
}

std::vector<std::vector<float>> EmbeddingService::run(
    const std::vector<std::vector<TokenId>>& texts, std::size_t n_tokens) {
  // Counted as long as it lives.
  struct Place {
    explicit Place(std::atomic<std::size_t>& n) : n_requests(n), n_before(n++) {}
    ~Place() { --n_requests; }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    std::atomic<std::size_t>& n_requests;
    const std::size_t n_before;
  };
  const Place place(n_requests_);
  if (place.n_before > n_waiting_) {
    throw ApiError(429, "overloaded_error",
                   "the queue is full: " + std::to_string(place.n_before) +
                       " requests are under way or waiting, the limit is " +
                       std::to_string(n_waiting_ + 1) + "; try again later",
                   "", "queue_full");
  }
  const std::lock_guard lock(mutex_);
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::vector<float>> vectors;
  try {
    vectors = embeddings_.embedder->embed(texts);
  } catch (const Error& error) {
    throw api_error(error);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  ++statistics_.n_rounds;
  statistics_.n_prompt += n_tokens;
  statistics_.prompt_s += took.count();
  metrics_.set_batch(statistics_);
  metrics_.count_text(n_tokens, 0, 0);
  return vectors;
}

}  // namespace gumbelspec::server
