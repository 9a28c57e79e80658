#include "apps/server/api/embeddings.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <utility>

#include "apps/server/api/field_value.h"
#include "apps/server/api/json_text.h"
#include "apps/server/api/request_reading.h"

namespace gumbelspec::server {
namespace {

using Texts = std::vector<std::vector<TokenId>>;

std::size_t total_of(const Texts& texts) {
  std::size_t n = 0;
  for (const auto& text : texts) n += text.size();
  return n;
}

bool has(const Json& body, const char* name) {
  const auto found = body.find(name);
  return found != body.end() && !found->is_null();
}

FieldValue field(const Json& body, const char* name) { return {body.at(name), name}; }

bool flag(const Json& body, const char* name) {
  return has(body, name) && field(body, name).boolean();
}

void check_fields(const Json& body, const ApiModel& model,
                  std::initializer_list<std::string_view> known) {
  if (!model.refuses_unknown_fields) return;
  for (const auto& item : body.items()) {
    if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
    throw bad_request(shown(Json(item.key())) +
                          " is no field that this endpoint knows (--strict-fields); leave it out",
                      item.key(), "unknown_field");
  }
}

// One pass has to take a text as a whole.
void check_lengths(const Texts& texts, const EmbeddingModel& embeddings, const std::string& name) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string which = texts.size() > 1 ? name + "[" + std::to_string(i) + "]" : name;
    if (texts[i].empty()) {
      throw bad_request(which + " is empty, and this model adds no token to a text; give it text",
                        name, "invalid_value");
    }
    if (texts[i].size() <= embeddings.max_tokens) continue;
    throw bad_request(which + " has " + std::to_string(texts[i].size()) +
                          " tokens, which is too large: a text of this server has at most " +
                          std::to_string(embeddings.max_tokens) + " (-b, -c); give a shorter one",
                      name, "context_length_exceeded")
        .tell("n_prompt_tokens", texts[i].size())
        .tell("n_ctx", embeddings.max_tokens);
  }
}

Texts read_texts(const FieldValue& value, const ApiModel& model) {
  RequestReading reading{model};
  reading.max_prompts = kMaxInputs;
  reading.max_prompt_tokens = kMaxBodyBytes;
  read_prompt(reading, value);
  return std::move(reading.request.prompts);
}

// Bytes of the numbers, the lowest first.
std::string base64_of(const std::vector<float>& vector) {
  std::string bytes;
  for (const float value : vector) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    for (unsigned shift = 0; shift < 32U; shift += 8U) {
      bytes += static_cast<char>((bits >> shift) & 0xFFU);
    }
  }
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t three = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      three = (three << 8U) | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= n ? kDigits[(three >> (18U - 6U * k)) & 63U] : '=';
    }
  }
  return out;
}

// A vector for each token, or one of the text.
Json rows_of(const std::vector<float>& vector, std::size_t n_dimensions) {
  Json rows = Json::array();
  for (std::size_t begin = 0; begin + n_dimensions <= vector.size(); begin += n_dimensions) {
    const auto first = vector.begin() + static_cast<std::ptrdiff_t>(begin);
    rows.push_back(std::vector<float>(first, first + static_cast<std::ptrdiff_t>(n_dimensions)));
  }
  return rows;
}

Json usage_of(std::size_t n_tokens) {
  return {{"prompt_tokens", n_tokens}, {"total_tokens", n_tokens}};
}

// Jina's documents may be objects with a text.
std::string read_document(const FieldValue& value) {
  if (!value.json().is_object()) return value.text();
  if (!value.has("text")) value.refuse("a string, or an object with a text");
  return value.member("text").text();
}

void read_format(const Json& body, EmbeddingRequest& request) {
  if (!has(body, "encoding_format")) return;
  const FieldValue format = field(body, "encoding_format");
  if (format.text() != "float" && format.text() != "base64") format.refuse("float or base64");
  request.is_base64 = format.text() == "base64";
  if (request.is_base64 && request.is_native) {
    throw bad_request(
        "encoding_format is \"base64\", but this form of an answer has numbers; ask /v1/embeddings "
        "with input",
        "encoding_format", "unsupported");
  }
}

}  // namespace

std::size_t EmbeddingRequest::n_tokens() const { return total_of(texts); }
std::size_t RankRequest::n_tokens() const { return total_of(pairs); }

ApiError makes_no_vectors() {
  return {501, "not_supported_error",
          "This server does not support embeddings. Start it with `--embeddings`", "",
          "unsupported"};
}

ApiError ranks_nothing() {
  return {501, "not_supported_error",
          "This server does not support reranking. Start it with `--reranking`", "", "unsupported"};
}

ApiError generates_nothing() {
  return {501, "not_supported_error",
          "This server does not support completions. Start it without `--embeddings` or "
          "`--reranking`",
          "", "unsupported"};
}

EmbeddingRequest parse_embeddings(std::string_view body, const ApiModel& model,
                                  const EmbeddingModel& embeddings, bool is_native) {
  const Json json = parse_body(body);
  check_fields(
      json, model,
      {"input", "content", "model", "encoding_format", "embd_normalize", "dimensions", "user"});
  EmbeddingRequest request;
  const char* name = has(json, "input") ? "input" : "content";
  if (!has(json, name)) {
    throw bad_request("there is no input (or content); give a text", "input", "missing_field");
  }
  request.is_native = is_native || std::string_view(name) == "content";
  if (!request.is_native && embeddings.pooling == Pooling::none) {
    throw bad_request(
        "this model keeps a vector of each token (--pooling none), for which OpenAI's form has no "
        "place; ask /embeddings, or start the server with another --pooling",
        "input", "unsupported");
  }
  if (has(json, "model")) (void)field(json, "model").text();
  read_format(json, request);
  if (has(json, "embd_normalize")) {
    request.norm = static_cast<int>(field(json, "embd_normalize").integer(-1, 100));
  }
  if (has(json, "dimensions")) {
    const FieldValue dimensions = field(json, "dimensions");
    const auto n = static_cast<std::int64_t>(embeddings.n_dimensions);
    if (dimensions.integer(1, std::numeric_limits<std::int32_t>::max()) != n) {
      dimensions.refuse(std::to_string(n) + ", as many as this model's vectors have");
    }
  }
  request.texts = read_texts(field(json, name), model);
  check_lengths(request.texts, embeddings, name);
  return request;
}

std::string embeddings_answer(const EmbeddingRequest& request,
                              std::vector<std::vector<float>> vectors, const ApiModel& model,
                              const EmbeddingModel& embeddings) {
  Json data = Json::array();
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    // Vectors of tokens stay as they are, as llama.cpp's server has it.
    if (embeddings.pooling != Pooling::none) normalize(vectors[i], request.norm);
    if (request.is_native) {
      data.push_back({{"index", i}, {"embedding", rows_of(vectors[i], embeddings.n_dimensions)}});
      continue;
    }
    Json item{{"object", "embedding"}, {"index", i}};
    item["embedding"] = request.is_base64 ? Json(base64_of(vectors[i])) : Json(vectors[i]);
    if (request.is_base64) item["encoding_format"] = "base64";
    data.push_back(std::move(item));
  }
  if (request.is_native) return to_text(data);
  return to_text({{"object", "list"},
                  {"model", model.id},
                  {"usage", usage_of(request.n_tokens())},
                  {"data", std::move(data)}});
}

RankRequest parse_rank(std::string_view body, const ApiModel& model,
                       const EmbeddingModel& embeddings) {
  if (embeddings.pooling != Pooling::rank) throw ranks_nothing();
  const Json json = parse_body(body);
  check_fields(
      json, model,
      {"query", "documents", "texts", "top_n", "return_text", "return_documents", "model", "user"});
  if (!has(json, "query")) {
    throw bad_request("there is no query; give it", "query", "missing_field");
  }
  const std::string& query = field(json, "query").text();
  RankRequest request;
  request.is_tei = has(json, "texts");
  if (request.is_tei && has(json, "documents")) {
    throw bad_request("documents and texts are both given; give one of them", "documents",
                      "invalid_value");
  }
  const char* name = request.is_tei ? "texts" : "documents";
  if (!has(json, name)) {
    throw bad_request("there are no documents; give an array of texts", "documents",
                      "missing_field");
  }
  const FieldValue documents = field(json, name);
  const std::size_t n = documents.array(1, kMaxInputs).size();
  request.n_best = n;
  if (has(json, "top_n")) {
    const std::int64_t most = std::numeric_limits<std::int32_t>::max();
    request.n_best = std::min(n, static_cast<std::size_t>(field(json, "top_n").integer(1, most)));
  }
  request.returns_texts = flag(json, request.is_tei ? "return_text" : "return_documents");
  for (std::size_t i = 0; i < n; ++i) {
    request.documents.push_back(read_document(documents.element(i)));
    try {
      request.pairs.push_back(embeddings.embedder->pair_tokens(query, request.documents.back()));
    } catch (const Error& error) {
      throw bad_field(error, name);
    }
  }
  check_lengths(request.pairs, embeddings, name);
  return request;
}

std::string rank_answer(const RankRequest& request, const std::vector<std::vector<float>>& scores,
                        const ApiModel& model) {
  std::vector<std::size_t> order(scores.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a].at(0) > scores[b].at(0); });
  order.resize(std::min(order.size(), request.n_best));
  Json results = Json::array();
  for (const std::size_t i : order) {
    Json item{{"index", i}, {request.is_tei ? "score" : "relevance_score", scores[i].at(0)}};
    const std::string& document = request.documents[i];
    if (request.returns_texts && request.is_tei) item["text"] = document;
    if (request.returns_texts && !request.is_tei) item["document"] = {{"text", document}};
    results.push_back(std::move(item));
  }
  if (request.is_tei) return to_text(results);
  return to_text({{"object", "list"},
                  {"model", model.id},
                  {"usage", usage_of(request.n_tokens())},
                  {"results", std::move(results)}});
}

}  // namespace gumbelspec::server
