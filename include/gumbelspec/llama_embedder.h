// A GGUF model that makes vectors of texts, or ranks them, run by llama.cpp. Nothing is generated,
// and so nothing drafted. This header does not include llama.h.
#ifndef GUMBELSPEC_LLAMA_EMBEDDER_H_
#define GUMBELSPEC_LLAMA_EMBEDDER_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "gumbelspec/types.h"

namespace gumbelspec {

// What becomes of the vectors of a text's tokens.
enum class Pooling {
  model,  // what the file says; none where it says nothing
  none,   // each token keeps its own
  mean,   // their mean
  cls,    // that of the first token
  last,   // that of the last one
  rank,   // scores, by the model's classification head
};

// "none", "mean", "cls", "last", "rank". Throws: Error{invalid_option} for any other.
[[nodiscard]] Pooling parse_pooling(std::string_view name);
[[nodiscard]] const char* to_string(Pooling pooling);  // "model", too

struct LlamaEmbedderOptions {
  // Where the file is and how it is loaded: devices, threads, places of weights, adapters. What is
  // about caches and passes of generated texts is not looked at. n_sequences: texts of one pass.
  LlamaModelOptions model = {};
  Pooling pooling = Pooling::model;
  // Tokens of one pass, in which a text has to fit; at most the context. 0: the context, and no
  // more than 2048.
  std::size_t max_tokens = 0;
};

class LlamaEmbedder {
 public:
  // Throws: Error{file_not_found, invalid_model, out_of_memory, invalid_option, peer_lost};
  // invalid_model also for Pooling::rank with a model that has no head for it. Cost: besides
  // reading the file a pass over a few tokens, which shows whether ggml computes all of the model's
  // tensors.
  static std::unique_ptr<LlamaEmbedder> load(const LlamaEmbedderOptions& options);
  ~LlamaEmbedder();
  LlamaEmbedder(const LlamaEmbedder&) = delete;
  LlamaEmbedder& operator=(const LlamaEmbedder&) = delete;

  [[nodiscard]] Pooling pooling() const;  // never Pooling::model
  // Of one vector; with Pooling::rank the number of scores, of which the first is the relevance.
  [[nodiscard]] std::size_t n_dimensions() const;
  [[nodiscard]] std::size_t n_context() const;
  [[nodiscard]] std::size_t n_context_trained() const;  // 0: unknown
  [[nodiscard]] std::size_t max_tokens() const;         // of a text

  // One vector for each text, as llama.cpp's pooling makes it and not normalized; with
  // Pooling::none one after the other for each of its tokens. Several texts share a pass as far as
  // they fit. What the others say changes no bit of a vector; how many tokens they have does, since
  // ggml then sums up in another order, attention in float16: by up to 8e-3 where numbers are about
  // 1.
  // Shape: [texts.size()][n_dimensions()], with Pooling::none [texts.size()][n_tokens *
  // n_dimensions()]. Requires: one call at a time. Throws: Error{invalid_prompt} for an empty text
  // and for tokens that the vocabulary does not have; Error{prompt_too_long}, Error{peer_lost},
  // Error{evaluation_failed}; Error{evaluation_failed} too where is_cancelled says so.
  [[nodiscard]] std::vector<std::vector<float>> embed(std::span<const std::vector<TokenId>> texts);

  // As LlamaModel's. Threads: any number at once, also during a pass.
  [[nodiscard]] std::vector<TokenId> tokenize(std::string_view text,
                                              const TokenizeOptions& options = {}) const;
  [[nodiscard]] std::string piece(TokenId token) const;
  [[nodiscard]] std::string token_text(TokenId token) const;
  [[nodiscard]] std::string bos_text() const;
  [[nodiscard]] std::string eos_text() const;
  [[nodiscard]] std::size_t n_vocab() const;
  [[nodiscard]] std::string metadata(const std::string& key) const;
  [[nodiscard]] std::string file_type() const;  // of the weights: "Q8_0"
  [[nodiscard]] LlamaSize size() const;

  // What a ranking model reads of a question and a document: by its template "rerank" where it has
  // one, else the two with the vocabulary's tokens before, between and behind them. The texts'
  // control tokens are mere text. Throws: as tokenize(). Threads: likewise.
  [[nodiscard]] std::vector<TokenId> pair_tokens(std::string_view query,
                                                 std::string_view document) const;

 private:
  class Impl;
  explicit LlamaEmbedder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The vector by its norm, as llama.cpp's field embd_normalize has it: -1: as it is; 0: by the
// largest magnitude, which becomes 32760; p > 0: by the p-norm (2: Euclidean). A vector of zeros
// stays one.
void normalize(std::span<float> vector, int norm);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_LLAMA_EMBEDDER_H_
