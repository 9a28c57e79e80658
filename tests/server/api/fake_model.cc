#include "tests/server/api/fake_model.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

namespace gumbelspec::server::testing {
namespace {

struct ControlToken {
  TokenId token;
  std::string_view text;
};
constexpr std::array kControlTokens = {ControlToken{kBos, "<s>"},
                                       ControlToken{kImStart, "<|im_start|>"},
                                       ControlToken{kImEnd, "<|im_end|>"}};

class FakeTokenizer final : public Tokenizer {
 public:
  std::vector<TokenId> tokenize(std::string_view text,
                                const TokenizeOptions& options) const override {
    std::vector<TokenId> tokens;
    if (options.adds_special) tokens.push_back(kBos);
    while (!text.empty()) {
      const ControlToken* found = nullptr;
      for (const ControlToken& control : kControlTokens) {
        if (options.reads_control && text.substr(0, control.text.size()) == control.text) {
          found = &control;
        }
      }
      tokens.push_back(found != nullptr ? found->token
                                        : token_id(static_cast<unsigned char>(text.front())));
      text.remove_prefix(found != nullptr ? found->text.size() : 1);
    }
    return tokens;
  }

  std::string piece(TokenId token) const override {
    if (index(token) < 256) return std::string(1, static_cast<char>(index(token)));
    if (token == kAb) return "ab";
    if (token == kHalfEuro) return "\xE2\x82";
    return {};
  }

  std::size_t n_vocab() const override { return kVocabulary; }
};

class AnyToken final : public TokenConstraint {
 public:
  std::span<const std::uint32_t> allowed(std::span<const TokenId> /*generated*/,
                                         std::span<const TokenId> /*path*/) override {
    return mask_;
  }

 private:
  std::vector<std::uint32_t> mask_ = std::vector<std::uint32_t>((kVocabulary + 31) / 32, ~0U);
};

}  // namespace

FakeGrammar::FakeGrammar(std::string text) : gbnf(std::move(text)) {
  if (gbnf.find("wrong") == std::string::npos) return;
  throw Error(ErrorCode::invalid_option, "grammar is wrong", "grammar");
}

std::unique_ptr<TokenConstraint> FakeGrammar::matcher() const {
  ++n_matchers;
  return std::make_unique<AnyToken>();
}

ApiModel fake_model(bool has_draft) {
  ApiModel model;
  model.tokenizer = std::make_shared<FakeTokenizer>();
  model.compile_grammar = [](const std::string& gbnf, const GrammarTrigger&) {
    return std::make_shared<const FakeGrammar>(gbnf);
  };
  model.chat_template = std::make_shared<ChatTemplate>("", "<s>", "</s>", /*has_chatml=*/true);
  model.id = "fake";
  model.created = 1700000000;
  model.fingerprint = "gumbelspec-test";
  model.n_context = 1000;
  model.has_draft = has_draft;
  return model;
}

std::vector<TokenId> byte_tokens(std::string_view text) {
  std::vector<TokenId> tokens;
  for (const char byte : text) tokens.push_back(token_id(static_cast<unsigned char>(byte)));
  return tokens;
}

FakeRound::FakeRound(std::vector<TokenId> tokens, std::size_t n_top) {
  tree_.reset(token_id('R'));
  NodeId node = kRoot;
  walk_.path.push_back(node);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool is_drafted = i + 1 < tokens.size();
    GeneratedToken token;
    token.token = tokens[i];
    token.runner_up = token_id('Z');
    token.margin = 1.5F;
    token.depth = static_cast<int>(i);
    token.was_drafted = is_drafted;
    tokens_.push_back(token);
    walk_.choices.push_back({tokens[i], token_id('Z'), 2.0F, 1.5F});
    logprobs_.push_back({tokens[i], -0.5F});
    for (std::size_t k = 0; k < n_top; ++k) {
      top_.push_back({token_id('A' + k), -1.0F - static_cast<float>(k)});
    }
    if (!is_drafted) continue;
    node = tree_.add(node, tokens[i], -0.25F * static_cast<float>(i + 1));
    walk_.path.push_back(node);
  }
  (void)tree_.add(kRoot, token_id('#'), -3.0F);
}

BatchRound FakeRound::view() const {
  return {tokens_, logprobs_, top_, tree_, walk_, nullptr, 0.001, 0.002, 0.0005};
}

Statistics statistics_of(std::size_t n_prompt, std::size_t n_generated) {
  Statistics s;
  s.n_prompt = n_prompt;
  s.n_generated = n_generated;
  s.n_rounds = s.n_target_passes = (n_generated + 1) / 2;
  s.n_drafted = n_generated;
  s.n_accepted = n_generated / 2;
  s.prompt_s = 0.5;
  s.decode_s = 2.0;
  return s;
}

void Conversation::ask(ParsedRequest request) {
  const std::uint64_t seed = request.seed.value_or(77);
  AnswerOutput output;
  output.write = [this](std::string event) {
    if (events.size() >= max_events) return false;
    events.push_back(std::move(event));
    return true;
  };
  output.end = [this](AnswerEnd end) { ends.push_back(std::move(end)); };
  // Time for every piece to be read.
  const AnswerOptions options{"1", 1700000001, seed, [] { return 0.0; }};
  answer = Answer::make(model, std::move(request), options, output);
  jobs = answer->take_jobs();
}

void Conversation::ask_completion(const json& body) { ask(parse_completion(body.dump(), model)); }
void Conversation::ask_chat(const json& body) { ask(parse_chat(body.dump(), model)); }

void Conversation::ask_native(const json& body) { ask(parse_native(body.dump(), model)); }

bool Conversation::say(const FakeRound& round, std::size_t job) {
  return jobs.at(job).sink->on_round(round.view());
}
bool Conversation::say(std::string_view text, std::size_t job) { return say(FakeRound(text), job); }

void Conversation::end(Outcome outcome, std::size_t job, const Error* error,
                       std::size_t n_generated) {
  jobs.at(job).sink->on_end(outcome, statistics_of(jobs.at(job).prompt.size(), n_generated), error);
}

json Conversation::body() const {
  EXPECT_EQ(ends.size(), 1U);
  return ends.empty() ? json() : json::parse(ends.front().body);
}

json Conversation::event(std::size_t i) const {
  const std::string& text = events.at(i);
  EXPECT_EQ(text.substr(0, 6), "data: ");
  EXPECT_EQ(text.substr(text.size() - 2), "\n\n");
  return json::parse(text.substr(6));
}

namespace {

// The event with the role has none.
std::string text_of(const json& delta) {
  const auto found = delta.find("content");
  return found == delta.end() || found->is_null() ? "" : found->get<std::string>();
}

}  // namespace

std::string Conversation::streamed(int index) const {
  std::string out;
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i] == "data: [DONE]\n\n") continue;
    const json chunk = event(i);
    for (const json& choice : chunk["choices"]) {
      if (choice["index"] != index) continue;
      out += choice.contains("text") ? choice["text"].get<std::string>() : text_of(choice["delta"]);
    }
  }
  return out;
}

}  // namespace gumbelspec::server::testing
