#include "fuzz/request_target.h"

#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "apps/server/api/tokens.h"
#include "gumbelspec/noise.h"
#include "tests/server/api/fake_model.h"

namespace gumbelspec::fuzz {
namespace {

using server::testing::FakeRound;
using server::testing::json;

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

void require_json(std::string_view text) { require(json::accept(text), "not JSON"); }

const server::ApiModel& model() {
  static const server::ApiModel kFake = server::testing::fake_model();
  return kFake;
}

void check_limits(const server::ParsedRequest& request) {
  require(!request.prompts.empty(), "no prompt");
  require(request.n_texts() <= server::kMaxTexts, "too many texts");
  require(request.n >= 1 && request.n <= server::kMaxChoices, "n out of range");
  require(request.text.method.keeps_seed(), "a method that does not keep the seed");
  for (const auto& prompt : request.prompts) {
    require(!prompt.empty() && prompt.size() < model().n_context, "a prompt that does not fit");
    for (const TokenId token : prompt) {
      require(index(token) < server::testing::kVocabulary, "a token outside the vocabulary");
    }
  }
}

// Options that were accepted give every row a choice, or forbid all of it.
void sample(const server::ParsedRequest& request) {
  constexpr std::size_t kVocabulary = server::testing::kVocabulary;
  std::vector<float> logits(kVocabulary);
  for (std::size_t i = 0; i < kVocabulary; ++i) {
    logits[i] = std::sin(static_cast<float>(i)) * 10.0F;
  }
  std::vector<float> noise(kVocabulary);
  fill_noise({.seed = request.seed.value_or(1)}, Position{0}, noise);
  LogWeights weights(request.text.sampling, kVocabulary);
  try {
    const Choice choice = choose(weights(logits, TextView{request.prompts.front(), {}}), noise);
    require(index(choice.token) < kVocabulary, "a choice outside the vocabulary");
  } catch (const Error& error) {
    require(error.code() == ErrorCode::no_token_allowed, "an error of a row that is fine");
  }
}

void answer(const server::ParsedRequest& request) {
  std::size_t n_ends = 0;
  std::vector<std::string> events;
  server::AnswerOutput output;
  output.write = [&](std::string event) {
    events.push_back(std::move(event));
    return true;
  };
  output.end = [&](const server::AnswerEnd& end) {
    ++n_ends;
    if (!end.body.empty()) require_json(end.body);
  };
  const auto answer = server::Answer::make(model(), request, {"1", 1, 1}, output);
  auto jobs = answer->take_jobs();
  const FakeRound round(server::testing::byte_tokens("ab\xE2\x82\xAC.\n"),
                        request.text.n_logprobs > 0 ? 1U : 0U);
  for (auto& job : jobs) {
    if (job.sink->on_round(round.view())) (void)job.sink->on_round(round.view());
    job.sink->on_end(Outcome::eos, server::testing::statistics_of(job.prompt.size(), 6), nullptr);
  }
  require(n_ends == 1, "an answer does not end once");
  require(request.stream != events.empty(), "events where none were asked for, or none");
  for (const std::string& event : events) {
    require(event.substr(0, 6) == "data: " && event.substr(event.size() - 2) == "\n\n",
            "not an event");
    if (event != "data: [DONE]\n\n") require_json(event.substr(6));
  }
}

}  // namespace

Verdict run_request(std::string_view bytes) {
  const unsigned kind = bytes.empty() ? 0U : static_cast<unsigned char>(bytes.front()) % 4U;
  const std::string_view body = bytes.empty() ? bytes : bytes.substr(1);
  try {
    if (kind == 2) {
      require_json(server::answer_tokenize(body, model()));
      return Verdict::accepted;
    }
    if (kind == 3) {
      require_json(server::answer_detokenize(body, model()));
      return Verdict::accepted;
    }
    const server::ParsedRequest request =
        kind == 0 ? parse_completion(body, model()) : parse_chat(body, model());
    check_limits(request);
    sample(request);
    answer(request);
    return Verdict::accepted;
  } catch (const server::ApiError& error) {
    require(error.status() >= 400 && error.status() < 500, "a request is the server's fault");
    require_json(error.body());
    return Verdict::refused;
  }
}

}  // namespace gumbelspec::fuzz
