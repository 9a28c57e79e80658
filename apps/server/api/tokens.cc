#include "apps/server/api/tokens.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "apps/common/utf8_stream.h"
#include "apps/server/api/answer_json.h"
#include "apps/server/api/answer_native.h"
#include "apps/server/api/field_value.h"
#include "apps/server/api/json_text.h"
#include "apps/server/api/ollama.h"
#include "apps/server/api/request.h"

namespace gumbelspec::server {
namespace {

constexpr std::size_t kMaxTokens = std::size_t{1} << 20U;

bool flag(const Json& body, const char* name, bool default_value) {
  const auto found = body.find(name);
  if (found == body.end() || found->is_null()) return default_value;
  return FieldValue(*found, name).boolean();
}

FieldValue required(const Json& body, const char* name) {
  const auto found = body.find(name);
  if (found == body.end()) {
    throw bad_request(std::string("there is no ") + name + "; give it", name, "missing_field");
  }
  return {*found, name};
}

// A piece that is a part of a character has no text; its bytes are told then.
Json piece_json(const std::string& piece) {
  if (!apps::first_invalid_utf8(piece)) return piece;
  Json bytes = Json::array();
  for (const char byte : piece) bytes.push_back(static_cast<unsigned char>(byte));
  return bytes;
}

}  // namespace

std::string answer_tokenize(std::string_view body, const ApiModel& model) {
  const Json json = parse_body(body);
  const FieldValue content = required(json, "content");
  const TokenizeOptions options{.adds_special = flag(json, "add_special", false),
                                .reads_control = flag(json, "parse_special", true)};
  const bool with_pieces = flag(json, "with_pieces", false);
  Json tokens = Json::array();
  try {
    for (const TokenId token : model.tokenizer->tokenize(content.text(), options)) {
      const auto id = static_cast<std::int32_t>(token);
      if (with_pieces) {
        tokens.push_back({{"id", id}, {"piece", piece_json(model.tokenizer->piece(token))}});
      } else {
        tokens.push_back(id);
      }
    }
  } catch (const Error& error) {
    throw bad_field(error, "content");
  }
  return to_text({{"tokens", tokens}});
}

std::string answer_detokenize(std::string_view body, const ApiModel& model) {
  const Json json = parse_body(body);
  const FieldValue tokens = required(json, "tokens");
  const auto n_vocab = static_cast<std::int64_t>(model.tokenizer->n_vocab());
  std::string bytes;
  for (std::size_t i = 0; i < tokens.array(0, kMaxTokens).size(); ++i) {
    bytes +=
        model.tokenizer->piece(static_cast<TokenId>(tokens.element(i).integer(0, n_vocab - 1)));
  }
  return to_text({{"content", bytes}});
}

namespace {

Json model_json(const ApiModel& model) {
  const Json meta{{"n_vocab", model.tokenizer->n_vocab()},
                  {"n_ctx", model.n_context},
                  {"n_ctx_train", model.n_context_trained},
                  {"n_embd", model.size.n_embedding},
                  {"n_params", model.size.n_parameters},
                  {"size", model.size.n_bytes},
                  {"ftype", model.file_type},
                  {"chat_template", model.chat_template->origin()},
                  {"draft", model.has_draft},
                  {"same_seed", model.keeps_seed},
                  {"guarantee", to_string(model.guarantee)},
                  {"method", to_string(model.method)}};
  return {{"id", model.id},    {"aliases", model.aliases}, {"tags", model.tags},
          {"object", "model"}, {"created", model.created}, {"owned_by", "gumbelspec"},
          {"meta", meta}};
}

}  // namespace

std::string answer_models(const ApiModel& model) {
  // "models" is what Ollama's clients look at.
  return to_text({{"models", Json::array({ollama_model_json(model)})},
                  {"object", "list"},
                  {"data", Json::array({model_json(model)})}});
}

std::string answer_model(const ApiModel& model, const std::string& id) {
  const bool is_named =
      std::find(model.aliases.begin(), model.aliases.end(), id) != model.aliases.end();
  if (id == model.id || is_named) return to_text(model_json(model));
  throw ApiError(404, "invalid_request_error",
                 "there is no model " + shown(Json(id)) + "; this server has " + model.id, "model",
                 "model_not_found");
}

std::string answer_apply_template(std::string_view body, const ApiModel& model) {
  return to_text({{"prompt", chat_prompt(body, model)}});
}

std::string answer_input_tokens(std::string_view body, const ApiModel& model, Endpoint endpoint) {
  const ParsedRequest request = parse_request(body, model, endpoint);
  Json out{{"input_tokens", request.prompts.at(0).size()}};
  if (endpoint != Endpoint::messages) out["object"] = "response.input_tokens";
  return to_text(out);
}

std::string answer_input_tokens(std::string_view body, const ApiModel& model) {
  return answer_input_tokens(body, model, Endpoint::chat);
}

std::string answer_props(const ApiModel& model, std::size_t n_slots, bool is_asleep) {
  Json params = settings_json(model.sampling);
  // -1: random, and as many as the context holds.
  params["seed"] = model.seed ? Json(*model.seed) : Json(-1);
  params["n_predict"] = model.max_tokens > 0 ? Json(model.max_tokens) : Json(-1);
  params["method"] = to_string(model.method);
  params["guarantee"] = to_string(model.guarantee);
  return to_text({{"default_generation_settings", {{"params", params}, {"n_ctx", model.n_context}}},
                  {"total_slots", n_slots},
                  {"model_alias", model.id},
                  {"model_path", model.path},
                  {"modalities", {{"vision", false}, {"video", false}, {"audio", false}}},
                  {"endpoint_slots", true},
                  {"endpoint_props", false},
                  {"endpoint_metrics", true},
                  {"chat_template", model.chat_template->source()},
                  {"bos_token", model.chat_template->bos()},
                  {"eos_token", model.chat_template->eos()},
                  {"build_info", model.fingerprint},
                  {"is_sleeping", is_asleep}});
}

std::string answer_slots(const ApiModel& model, std::size_t n_slots, std::size_t n_texts) {
  Json slots = Json::array();
  for (std::size_t i = 0; i < n_slots; ++i) {
    slots.push_back({{"id", i},
                     {"n_ctx", model.n_context},
                     {"speculative", model.has_draft},
                     {"is_processing", i < n_texts}});
  }
  return to_text(slots);
}

std::string answer_health() { return to_text({{"status", "ok"}}); }

ApiError still_loading() {
  return ApiError(503, "unavailable_error", "the model is being loaded; try again in a moment", "",
                  "loading");
}

}  // namespace gumbelspec::server
