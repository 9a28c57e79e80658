// Requests for vectors of texts and for ranks of documents, and their answers, in the forms of
// OpenAI, of llama.cpp's server, of Jina and of Hugging Face's Text Embeddings Inference.
#ifndef GUMBELSPEC_APPS_SERVER_API_EMBEDDINGS_H_
#define GUMBELSPEC_APPS_SERVER_API_EMBEDDINGS_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/api/api_error.h"
#include "apps/server/api/api_model.h"
#include "gumbelspec/llama_embedder.h"

namespace gumbelspec::server {

// A LlamaEmbedder; tests put other things in its place. The functions mean what that one's mean.
class TextEmbedder {
 public:
  virtual ~TextEmbedder() = default;
  [[nodiscard]] virtual std::vector<std::vector<float>> embed(
      std::span<const std::vector<TokenId>> texts) = 0;
  [[nodiscard]] virtual std::vector<TokenId> pair_tokens(std::string_view query,
                                                         std::string_view document) const = 0;
};

struct EmbeddingModel {
  std::shared_ptr<TextEmbedder> embedder;
  Pooling pooling = Pooling::mean;
  std::size_t n_dimensions = 0;
  std::size_t max_tokens = 0;  // of a text
};

inline constexpr std::size_t kMaxInputs = 2048;  // texts of one request

struct EmbeddingRequest {
  std::vector<std::vector<TokenId>> texts;  // at least one, none empty, none too long
  int norm = 2;                             // see normalize()
  bool is_base64 = false;
  bool is_native = false;  // answered in the form of llama.cpp's server

  [[nodiscard]] std::size_t n_tokens() const;
};

struct RankRequest {
  std::vector<std::vector<TokenId>> pairs;  // likewise, one for each document
  std::vector<std::string> documents;
  std::size_t n_best = 0;
  bool is_tei = false;  // Text Embeddings Inference: "texts" instead of "documents"
  bool returns_texts = false;

  [[nodiscard]] std::size_t n_tokens() const;
};

// is_native: of /embedding and /embeddings; a body with "content" instead of "input" is, too.
// Cost: tokenizes the texts. Throws: ApiError, with the field in param(); 400 for models whose
// pooling the form has no place for.
[[nodiscard]] EmbeddingRequest parse_embeddings(std::string_view body, const ApiModel& model,
                                                const EmbeddingModel& embeddings, bool is_native);

// vectors: what the embedder made of the request's texts.
[[nodiscard]] std::string embeddings_answer(const EmbeddingRequest& request,
                                            std::vector<std::vector<float>> vectors,
                                            const ApiModel& model,
                                            const EmbeddingModel& embeddings);

// Throws: ApiError; 501 for models that do not rank.
[[nodiscard]] RankRequest parse_rank(std::string_view body, const ApiModel& model,
                                     const EmbeddingModel& embeddings);

// The best first; equal ones as they came.
[[nodiscard]] std::string rank_answer(const RankRequest& request,
                                      const std::vector<std::vector<float>>& scores,
                                      const ApiModel& model);

// 501, in the words that llama.cpp's clients know.
[[nodiscard]] ApiError makes_no_vectors();
[[nodiscard]] ApiError ranks_nothing();
[[nodiscard]] ApiError generates_nothing();

// The embedder as requests know it. Lifetime: it outlives the results. The caller fills in id,
// aliases, path and created.
[[nodiscard]] EmbeddingModel make_embedding_model(LlamaEmbedder& embedder);
[[nodiscard]] ApiModel make_api_model(const LlamaEmbedder& embedder);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_EMBEDDINGS_H_
