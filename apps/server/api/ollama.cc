#include "apps/server/api/ollama.h"

#include <array>
#include <cstdint>
#include <ctime>
#include <utility>

#include "apps/server/api/field_value.h"

namespace gumbelspec::server {
namespace {

struct Renamed {
  const char* ollama;
  const char* ours;
};
constexpr std::array kOptions = {
    Renamed{"temperature", "temperature"},
    Renamed{"top_k", "top_k"},
    Renamed{"top_p", "top_p"},
    Renamed{"min_p", "min_p"},
    Renamed{"seed", "seed"},
    Renamed{"num_predict", "max_tokens"},
    Renamed{"stop", "stop"},
    Renamed{"repeat_penalty", "repeat_penalty"},
    Renamed{"repeat_last_n", "repeat_last_n"},
    Renamed{"presence_penalty", "presence_penalty"},
    Renamed{"frequency_penalty", "frequency_penalty"},
    Renamed{"mirostat", "mirostat"},
    Renamed{"mirostat_tau", "mirostat_tau"},
    Renamed{"mirostat_eta", "mirostat_eta"},
    Renamed{"typical_p", "typical_p"},
};

std::string time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

void copy_options(const Json& from, Json& to) {
  const auto options = from.find("options");
  if (options != from.end() && !options->is_null()) {
    (void)FieldValue(*options, "options").object();
    for (const Renamed& name : kOptions) {
      if (options->contains(name.ollama)) to[name.ours] = options->at(name.ollama);
    }
    // -2: as long as the context; ours has one word for that.
    if (to.contains("max_tokens") && to["max_tokens"] == -2) to["max_tokens"] = -1;
  }
  const auto format = from.find("format");
  if (format == from.end() || format->is_null() || *format == "") return;
  if (*format == "json") {
    to["response_format"] = {{"type", "json_object"}};
  } else {
    to["response_format"] = {{"type", "json_object"},
                             {"schema", FieldValue(*format, "format").object()}};
  }
}

Json messages_of(const Json& body) {
  const auto found = body.find("messages");
  if (found == body.end()) return Json::array();
  Json messages = *found;
  for (Json& message : messages) {
    if (!message.is_object() || !message.contains("images") || message["images"].empty()) continue;
    throw bad_request("messages have images; this model reads text only", "messages",
                      "unsupported");
  }
  return messages;
}

// {"model", "created_at", and the text as the endpoint tells it}
Json line(OllamaEndpoint endpoint, const ApiModel& model, const std::string& text, bool is_done) {
  Json out{{"model", model.id}, {"created_at", time_text()}};
  if (endpoint == OllamaEndpoint::chat) {
    out["message"] = {{"role", "assistant"}, {"content", text}};
  } else {
    out["response"] = text;
  }
  out["done"] = is_done;
  return out;
}

void add_end(const Json& answer, const std::string& reason, Json& out) {
  constexpr double kNanoseconds = 1e6;  // of a millisecond
  const Json& timings = answer.at("timings");
  const auto ns = [&](const char* name) {
    return static_cast<std::int64_t>(kNanoseconds * timings.at(name).get<double>());
  };
  out["done_reason"] = reason;
  out["total_duration"] = ns("prompt_ms") + ns("predicted_ms");
  out["load_duration"] = 0;
  out["prompt_eval_count"] =
      timings.at("prompt_n").get<std::int64_t>() + timings.at("cache_n").get<std::int64_t>();
  out["prompt_eval_duration"] = ns("prompt_ms");
  out["eval_count"] = timings.at("predicted_n");
  out["eval_duration"] = ns("predicted_ms");
}

// One of our answers or events, as one of Ollama's; null: it has nothing to say there.
Json converted(OllamaEndpoint endpoint, Endpoint ours, const ApiModel& model, const Json& answer) {
  if (answer.contains("error")) return {{"error", answer.at("error").at("message")}};
  std::string text;
  std::string reason;
  if (ours == Endpoint::chat) {
    if (answer.at("choices").empty()) return nullptr;
    const Json& choice = answer.at("choices").front();
    const Json& message = choice.contains("delta") ? choice.at("delta") : choice.at("message");
    if (message.contains("content") && message.at("content").is_string()) {
      text = message.at("content").get<std::string>();
    }
    if (choice.at("finish_reason").is_string())
      reason = choice.at("finish_reason").get<std::string>();
  } else {
    text = answer.at("content").get<std::string>();
    if (answer.at("stop") == true) reason = answer.at("stop_type") == "limit" ? "length" : "stop";
  }
  if (text.empty() && reason.empty()) return nullptr;
  Json out = line(endpoint, model, text, !reason.empty());
  if (!reason.empty()) add_end(answer, reason, out);
  return out;
}

}  // namespace

OllamaRequest read_ollama(OllamaEndpoint endpoint, std::string_view text) {
  const Json body = parse_body(text);
  OllamaRequest request;
  Json ours = Json::object();
  copy_options(body, ours);
  const auto stream = body.find("stream");
  const bool is_given = stream != body.end() && !stream->is_null();
  request.streams = !is_given || FieldValue(*stream, "stream").boolean();
  ours["stream"] = request.streams;
  // Texts of one prompt only, with no template of the request's.
  for (const char* name : {"suffix", "template", "context", "images"}) {
    const auto found = body.find(name);
    if (found == body.end() || found->is_null() || found->empty() || *found == "") continue;
    throw bad_request(std::string(name) + " is given, but is not supported; leave it out", name,
                      "unsupported");
  }
  if (endpoint == OllamaEndpoint::chat) {
    ours["messages"] = messages_of(body);
    if (body.contains("tools")) ours["tools"] = body.at("tools");
  } else if (body.value("raw", Json(false)) == true) {
    request.endpoint = Endpoint::native;
    ours["prompt"] = body.value("prompt", Json(""));
  } else {
    // Ollama puts the prompt into the model's template.
    Json messages = Json::array();
    if (body.contains("system")) {
      messages.push_back({{"role", "system"}, {"content", body.at("system")}});
    }
    messages.push_back({{"role", "user"}, {"content", body.value("prompt", Json(""))}});
    ours["messages"] = std::move(messages);
  }
  request.body = to_text(ours);
  return request;
}

AnswerOutput ollama_output(OllamaEndpoint endpoint, Endpoint ours, const ApiModel& model,
                           AnswerOutput inner) {
  AnswerOutput output;
  output.on_tokens = std::move(inner.on_tokens);
  output.write = [endpoint, ours, &model,
                  write = std::move(inner.write)](const std::string& event) {
    constexpr std::string_view kBegin = "data: ";
    const std::string_view data = std::string_view(event).substr(kBegin.size());
    if (data.substr(0, 6) == "[DONE]") return true;
    const Json line = converted(endpoint, ours, model, Json::parse(data));
    return line.is_null() || write(to_text(line) + "\n");
  };
  output.end = [endpoint, ours, &model, end = std::move(inner.end)](AnswerEnd answer) {
    if (!answer.body.empty()) {
      answer.body = to_text(converted(endpoint, ours, model, Json::parse(answer.body)));
    }
    end(std::move(answer));
  };
  return output;
}

Json ollama_model_json(const ApiModel& model) {
  return {{"name", model.id},
          {"model", model.id},
          {"modified_at", ""},
          {"size", model.size.n_bytes},
          {"digest", ""},
          {"type", "model"},
          {"tags", model.tags},
          {"capabilities", Json::array({model.makes_vectors ? "embedding" : "completion"})},
          {"details",
           {{"parent_model", ""},
            {"format", "gguf"},
            {"family", model.architecture},
            {"families", Json::array({model.architecture})},
            {"parameter_size", std::to_string(model.size.n_parameters)},
            {"quantization_level", model.file_type}}}};
}

std::string answer_ollama_version() { return to_text({{"version", GUMBELSPEC_VERSION}}); }

std::string answer_ollama_tags(const ApiModel& model) {
  return to_text({{"models", Json::array({ollama_model_json(model)})}});
}

std::string answer_ollama_show(const ApiModel& model, std::string_view body) {
  (void)parse_body(body);
  Json out = ollama_model_json(model);
  out["template"] = model.chat_template->source();
  out["model_info"] = {{"general.architecture", model.architecture},
                       {"general.parameter_count", model.size.n_parameters},
                       {model.architecture + ".context_length", model.n_context},
                       {model.architecture + ".embedding_length", model.size.n_embedding}};
  return to_text(out);
}

std::string ollama_error(const ApiError& error) { return to_text({{"error", error.what()}}); }

}  // namespace gumbelspec::server
