// What requests are answered with. The parser and the answers know the model through this alone,
// so that they are tested without one.
#ifndef GUMBELSPEC_APPS_SERVER_API_API_MODEL_H_
#define GUMBELSPEC_APPS_SERVER_API_API_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/api/chat_template.h"
#include "apps/structure/schema_cache.h"
#include "gumbelspec/batch.h"
#include "gumbelspec/llama_grammar.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/method.h"
#include "gumbelspec/sampling.h"
#include "gumbelspec/token_constraint.h"
#include "gumbelspec/types.h"

namespace gumbelspec::server {

// Threads: any number at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Throws: Error{invalid_prompt, prompt_too_long}.
  [[nodiscard]] virtual std::vector<TokenId> tokenize(std::string_view text,
                                                      const TokenizeOptions& options) const = 0;
  // The bytes of a token, perhaps a part of a character; empty for control tokens.
  [[nodiscard]] virtual std::string piece(TokenId token) const = 0;
  // The same, but control tokens as the vocabulary writes them.
  [[nodiscard]] virtual std::string text(TokenId token) const { return piece(token); }
  [[nodiscard]] virtual std::size_t n_vocab() const = 0;
  // As gumbelspec::dry_breakers(). Threads: any number at once. Cost: those asked last are kept.
  [[nodiscard]] virtual std::shared_ptr<const std::vector<DryBreaker>> dry_breakers(
      const std::vector<std::string>& /*texts*/) const {
    return nullptr;
  }
};

struct ApiModel {
  std::shared_ptr<const Tokenizer> tokenizer;
  // Throws: Error{invalid_option} with the reason. Threads: any number at once.
  std::function<std::shared_ptr<const Grammar>(const std::string& gbnf, const GrammarTrigger&)>
      compile_grammar;
  std::shared_ptr<structure::SchemaCache> schemas = std::make_shared<structure::SchemaCache>();
  std::shared_ptr<const ChatTemplate> chat_template;
  std::string id;                         // "model" of the answers
  std::int64_t created = 0;               // of the model, for /v1/models: seconds since 1970
  std::string fingerprint;                // "system_fingerprint" of the answers
  std::size_t n_context = 0;              // tokens of one text, prompt included
  std::size_t n_context_trained = 0;      // for /v1/models; 0: unknown
  Method method = {};                     // of requests that name none
  Guarantee guarantee = Guarantee::seed;  // likewise
  bool has_draft = false;                 // without one every method is plain decoding
  bool keeps_seed = true;      // a seed's text does not depend on the method or the batch
  bool makes_vectors = false;  // instead of texts: embeddings.h
  bool refuses_unknown_fields = false;
  SamplingOptions sampling = {};  // what requests leave out
  std::vector<std::string> dry_breakers = {kDryBreakerTexts.begin(), kDryBreakerTexts.end()};
  std::string reasoning_format = "auto";   // likewise
  std::optional<bool> thinks = {};         // likewise: enable_thinking; none: the template's own
  std::int64_t reasoning_budget = -1;      // likewise; -1: any number of tokens
  std::optional<std::uint64_t> seed = {};  // likewise; none: a random one
  std::size_t max_tokens = 0;              // likewise; 0: what the context holds
  bool is_verbose = false;                 // likewise
  std::size_t n_slots = 1;                 // texts decoded at once
  std::vector<std::string> aliases = {};   // other names, id among them
  std::vector<std::string> tags = {};      // of the operator, for /v1/models
  std::string path = {};                   // the target's file
  std::string file_type = {};              // of its weights, and its architecture: "llama", "Q8_0"
  std::string architecture = {};
  LlamaFillTokens fill_tokens = {};
  LlamaSize size = {};
};

// chat_template: Jinja instead of the model's; empty: the model's.
// The model behind it outlives the result. The caller fills in id, created, method, has_draft,
// keeps_seed and sampling.
[[nodiscard]] ApiModel make_api_model(const LlamaModel& target,
                                      const std::string& chat_template = {});

// "build_info" of a server that has no model itself.
[[nodiscard]] std::string router_fingerprint();

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_API_MODEL_H_
