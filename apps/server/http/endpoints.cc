#include "apps/server/http/endpoints.h"

#include <algorithm>
#include <array>

#include "apps/server/http/static_files.h"

namespace gumbelspec::server {
namespace {

constexpr std::array<EndpointDoc, 43> kEndpoints = {{
    {"POST", "/v1/completions", true, "Continues a prompt, as OpenAI's endpoint of that name."},
    {"POST", "/v1/chat/completions", true,
     "Answers messages, as OpenAI's endpoint of that name; the chat template is the model's."},
    {"POST", "/completion", true,
     "The same request, answered in the form of llama.cpp's server: `content`, `stop`, "
     "`stop_type`, "
     "`timings`; of several texts an array."},
    {"POST", "/completions", true, "The same as `/completion`, as llama.cpp's server has it."},
    {"POST", "/infill", true,
     "Fills the gap between `input_prefix` (and `prompt`) and `input_suffix`, with other files as "
     "`input_extra` (`[{\"filename\", \"text\"}]`); answered as `/completion`. 501 for models "
     "without tokens for it."},
    {"POST", "/chat/completions", true, "The same as `/v1/chat/completions`."},
    {"POST", "/v1/chat/completions/input_tokens", true,
     "A chat's body to `{\"input_tokens\": N}`; nothing is generated."},
    {"POST", "/chat/completions/input_tokens", true, "The same."},
    {"POST", "/v1/responses", true,
     "OpenAI's newer form of a chat, whole and as a stream; every request has all of its input."},
    {"POST", "/responses", true, "The same as `/v1/responses`."},
    {"POST", "/v1/responses/input_tokens", true,
     "Its body to `{\"input_tokens\": N}`; nothing is generated."},
    {"POST", "/v1/messages", true, "Anthropic's form of a chat, whole and as a stream."},
    {"POST", "/v1/messages/count_tokens", true,
     "Its body to `{\"input_tokens\": N}`; nothing is generated."},
    {"POST", "/apply-template", true, "A chat's body to `{\"prompt\": TEXT}`."},
    {"GET", "/v1/models", true, "The model that is served."},
    {"GET", "/v1/models/{id}", true, "The same, by its name; 404 for any other."},
    {"GET", "/models", true, "The same as `/v1/models`."},
    {"POST", "/models/load", true,
     "With several models (--models-dir, --models-preset): `{\"model\": NAME}` has it loaded; does "
     "not wait for that."},
    {"POST", "/models/unload", true, "Likewise: ends its process, once it has finished its texts."},
    {"POST", "/tokenize", true, "`{\"content\": TEXT}` to `{\"tokens\": [...]}`."},
    {"POST", "/detokenize", true, "`{\"tokens\": [...]}` to `{\"content\": TEXT}`."},
    {"GET", "/health", false,
     "200 when requests are taken; 503 while the models are being loaded, while the server shuts "
     "down, when its engine has failed, and while it has been in one round for 10 seconds."},
    {"GET", "/v1/health", false, "The same as `/health`."},
    {"GET", "/props", true,
     "What llama.cpp's server tells of itself, as far as it is so here: the context, the number of "
     "slots, the chat template, what requests leave out."},
    {"GET", "/slots", true,
     "The texts that can be decoded at once, and which are; with `?fail_on_no_slot=1` status 503 "
     "where all are."},
    {"POST", "/slots/{id}", true,
     "With `?action=save`, `restore` (both with `{\"filename\"}`, in --slot-save-path) or `erase`: "
     "what a slot has evaluated goes into a file, comes back, is forgotten. Files of another "
     "model, "
     "and damaged ones, are refused."},
    {"GET", "/lora-adapters", true, "The adapters of --lora: `[{\"id\", \"path\", \"scale\"}]`."},
    {"POST", "/lora-adapters", true,
     "`[{\"id\", \"scale\"}]`: other scales, 0 for those that are left out. Waits until no text is "
     "under way, and has the models loaded anew, so that texts of different scales share nothing."},
    {"POST", "/v1/embeddings", true,
     "With --embeddings: vectors of `input` (a text, tokens, or an array of those) in OpenAI's "
     "form. Without: 501."},
    {"POST", "/embeddings", true,
     "The same in the form of llama.cpp's server, which also has a vector for each token "
     "(--pooling none)."},
    {"POST", "/embedding", true, "The same as `/embeddings`."},
    {"POST", "/v1/rerank", true,
     "With --reranking: how well each of `documents` (or `texts`) answers `query`, the best "
     "`top_n` first, in Jina's form (or that of Text Embeddings Inference). Without: 501."},
    {"POST", "/v1/reranking", true, "The same."},
    {"POST", "/rerank", true, "The same."},
    {"POST", "/reranking", true, "The same."},
    {"GET", "/api/version", true, "Ollama's API, for front ends that look for it: the version."},
    {"GET", "/api/tags", true, "Likewise: the model."},
    {"POST", "/api/show", true, "Likewise: what is known of the model."},
    {"POST", "/api/chat", true,
     "Likewise: a chat, with `options` (temperature, top_k, top_p, min_p, seed, num_predict, stop, "
     "penalties) and `format`; lines of JSON unless `stream` is false."},
    {"POST", "/api/generate", true,
     "Likewise: an answer to `prompt` (and `system`); with `raw` without the chat template."},
    {"POST", "/predict", true,
     "Vertex AI's form, where the environment has `AIP_MODE=PREDICTION` (the path is "
     "`AIP_PREDICT_ROUTE`'s): `instances`, each the body of another endpoint with its name as "
     "`@requestFormat` (`chatCompletions`, `/v1/completions` ...), to `predictions`."},
    {"GET", "/metrics", true, "Counts and times in Prometheus' text format."},
    {"GET", "/", false,
     "The page (docs/web.md); this list where the client does not accept HTML (`Accept: "
     "text/plain`)."},
}};

// A path may end with a name of any characters: "/v1/models/{id}".
bool is_path(std::string_view pattern, std::string_view path) {
  const std::size_t brace = pattern.find('{');
  if (brace == std::string_view::npos) return pattern == path;
  return path.size() > brace && path.substr(0, brace) == pattern.substr(0, brace);
}

}  // namespace

std::span<const EndpointDoc> endpoint_docs() { return kEndpoints; }

const EndpointDoc* find_endpoint(std::string_view method, std::string_view path) {
  const std::string_view routed = method == "HEAD" ? "GET" : method;
  const auto* found = std::find_if(kEndpoints.begin(), kEndpoints.end(), [&](const EndpointDoc& e) {
    return is_path(e.path, path) && (routed.empty() || e.method == routed);
  });
  return found == kEndpoints.end() ? nullptr : found;
}

std::string allowed_methods(std::string_view path) {
  if (find_static_file(path) != nullptr) return "GET, HEAD";
  std::string methods;
  for (const EndpointDoc& endpoint : kEndpoints) {
    if (!is_path(endpoint.path, path)) continue;
    if (!methods.empty()) methods += ", ";
    methods += endpoint.method == "GET" ? "GET, HEAD" : std::string(endpoint.method);
  }
  return methods;
}

}  // namespace gumbelspec::server
