// A LlamaEmbedder as requests know it.
#include <utility>

#include "apps/server/api/embeddings.h"

namespace gumbelspec::server {
namespace {

class ModelEmbedder final : public TextEmbedder {
 public:
  explicit ModelEmbedder(LlamaEmbedder& model) : model_(model) {}

  std::vector<std::vector<float>> embed(std::span<const std::vector<TokenId>> texts) override {
    return model_.embed(texts);
  }
  [[nodiscard]] std::vector<TokenId> pair_tokens(std::string_view query,
                                                 std::string_view document) const override {
    return model_.pair_tokens(query, document);
  }

 private:
  LlamaEmbedder& model_;
};

class EmbedderTokenizer final : public Tokenizer {
 public:
  explicit EmbedderTokenizer(const LlamaEmbedder& model) : model_(model) {}

  [[nodiscard]] std::vector<TokenId> tokenize(std::string_view text,
                                              const TokenizeOptions& options) const override {
    return model_.tokenize(text, options);
  }
  [[nodiscard]] std::string piece(TokenId token) const override { return model_.piece(token); }
  [[nodiscard]] std::string text(TokenId token) const override {
    std::string bytes = model_.piece(token);
    return bytes.empty() ? model_.token_text(token) : bytes;
  }
  [[nodiscard]] std::size_t n_vocab() const override { return model_.n_vocab(); }

 private:
  const LlamaEmbedder& model_;
};

}  // namespace

EmbeddingModel make_embedding_model(LlamaEmbedder& embedder) {
  return {std::make_shared<ModelEmbedder>(embedder), embedder.pooling(), embedder.n_dimensions(),
          embedder.max_tokens()};
}

ApiModel make_api_model(const LlamaEmbedder& embedder) {
  ApiModel model;
  model.tokenizer = std::make_shared<EmbedderTokenizer>(embedder);
  model.compile_grammar = [](const std::string&,
                             const GrammarTrigger&) -> std::shared_ptr<const Grammar> {
    throw generates_nothing();
  };
  model.chat_template = std::make_shared<ChatTemplate>(embedder.metadata("tokenizer.chat_template"),
                                                       embedder.bos_text(), embedder.eos_text());
  model.fingerprint = router_fingerprint();
  model.n_context = embedder.n_context();
  model.n_context_trained = embedder.n_context_trained();
  model.architecture = embedder.metadata("general.architecture");
  model.file_type = embedder.file_type();
  model.size = embedder.size();
  model.makes_vectors = true;
  return model;
}

}  // namespace gumbelspec::server
