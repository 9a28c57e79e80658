// A tiny model with a real vocabulary behind the server's API, without sockets: bodies of requests
// in, events and bodies of answers out.
#ifndef GUMBELSPEC_TESTS_VOCABULARIES_SERVED_MODEL_H_
#define GUMBELSPEC_TESTS_VOCABULARIES_SERVED_MODEL_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/server/api/api_model.h"
#include "gumbelspec/batch.h"
#include "tests/vocabularies/vocabulary_files.h"

namespace gumbelspec::testing {

using nlohmann::json;

struct Reply {
  int status = 0;
  json body = {};                 // without stream
  std::vector<json> events = {};  // with stream, without the last, which is "[DONE]"

  // Of the first choice, whichever way it came.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::string finish_reason() const;
  [[nodiscard]] json chat_tokens() const;  // logprobs.content
};

class ServedModel {
 public:
  // With has_draft the draft is the same model again, so that its trees are accepted.
  explicit ServedModel(const VocabularyFile& file, bool has_draft = false,
                       const std::string& chat_template = "");

  [[nodiscard]] Reply complete(const json& request) { return ask(request, false); }
  [[nodiscard]] Reply chat(const json& request) { return ask(request, true); }

  [[nodiscard]] LlamaModel& target() { return *target_; }
  [[nodiscard]] LlamaModel* draft() { return draft_.get(); }
  [[nodiscard]] const server::ApiModel& api() const { return api_; }

  // The bytes of a text of a session alone, token by token.
  [[nodiscard]] std::vector<std::string> pieces(const std::string& prompt, std::uint64_t seed,
                                                std::size_t n);

 private:
  [[nodiscard]] Reply ask(const json& request, bool is_chat);

  std::unique_ptr<LlamaModel> target_;
  std::unique_ptr<LlamaModel> draft_;
  server::ApiModel api_;
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_VOCABULARIES_SERVED_MODEL_H_
