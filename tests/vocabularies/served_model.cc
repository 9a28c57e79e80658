#include "tests/vocabularies/served_model.h"

#include "apps/server/api/answer.h"
#include "apps/server/api/request.h"
#include "gumbelspec/session.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

std::shared_ptr<CostModel> some_costs() {
  return std::make_shared<CostModel>(CostModel{PassCost({{1, 1.0}, {8, 1.1}, {66, 4.0}}, false),
                                               PassCost({{1, 0.05}, {64, 0.2}}, false)});
}

const json& first_choice(const json& object) { return object.at("choices").at(0); }

std::string text_of(const json& choice) {
  if (choice.contains("text")) return choice["text"];
  const json& said = choice.contains("delta") ? choice["delta"] : choice["message"];
  return said.value("content", "");
}

}  // namespace

std::string Reply::text() const {
  if (events.empty()) return text_of(first_choice(body));
  std::string text;
  for (const json& event : events) text += text_of(first_choice(event));
  return text;
}

std::string Reply::finish_reason() const {
  const json& reason = first_choice(events.empty() ? body : events.back())["finish_reason"];
  return reason.is_null() ? "" : reason;
}

json Reply::chat_tokens() const {
  json tokens = json::array();
  const auto add = [&](const json& choice) {
    if (choice["logprobs"].is_null()) return;
    for (const json& token : choice["logprobs"]["content"]) tokens.push_back(token);
  };
  if (events.empty()) add(first_choice(body));
  for (const json& event : events) add(first_choice(event));
  return tokens;
}

ServedModel::ServedModel(const VocabularyFile& file, bool has_draft,
                         const std::string& chat_template) {
  TinyModel tiny = tiny_model_with(file);
  tiny.vocabulary.chat_template = chat_template;
  LlamaModelOptions options;
  options.n_context = 512;
  target_ = load_tiny(tiny, options);
  if (has_draft) draft_ = load_tiny(tiny, options);
  api_ = server::make_api_model(*target_);
  api_.id = file.name;
  api_.has_draft = has_draft;
}

Reply ServedModel::ask(const json& request, bool is_chat) {
  Reply reply;
  server::AnswerOutput output;
  output.write = [&](const std::string& event) {
    if (event != "data: [DONE]\n\n") reply.events.push_back(json::parse(event.substr(6)));
    return true;
  };
  output.end = [&](const server::AnswerEnd& end) {
    reply.status = end.status;
    if (!end.body.empty()) reply.body = json::parse(end.body);
  };
  try {
    server::ParsedRequest parsed = is_chat ? server::parse_chat(request.dump(), api_)
                                           : server::parse_completion(request.dump(), api_);
    const std::uint64_t seed = parsed.seed.value_or(1);
    const auto answer = server::Answer::make(api_, std::move(parsed), {"1", 1, seed}, output);
    BatchOptions options;
    options.costs = some_costs();
    Batch batch(*target_, draft_.get(), options);
    for (server::TextJob& job : answer->take_jobs()) {
      batch.add(job.prompt, job.options, std::move(job.sink));
    }
    while (batch.step()) {
    }
  } catch (const server::ApiError& error) {
    reply.status = error.status();
    reply.body = json::parse(error.body());
  }
  return reply;
}

std::vector<std::string> ServedModel::pieces(const std::string& prompt, std::uint64_t seed,
                                             std::size_t n) {
  Session session(*target_, nullptr,
                  {.method = Method::of(MethodKind::ar), .seed = seed, .max_tokens = n});
  std::vector<std::string> pieces;
  Outcome outcome = session.start(target_->tokenize(prompt));
  while (outcome == Outcome::running) outcome = session.step();
  for (const GeneratedToken& token : session.generated()) {
    pieces.push_back(target_->piece(token.token));
  }
  return pieces;
}

}  // namespace gumbelspec::testing
