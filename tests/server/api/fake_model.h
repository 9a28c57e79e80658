// What requests are answered with in these tests: a vocabulary of bytes and a few control tokens,
// and rounds made by hand.
#ifndef GUMBELSPEC_TESTS_SERVER_API_FAKE_MODEL_H_
#define GUMBELSPEC_TESTS_SERVER_API_FAKE_MODEL_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/api/answer.h"
#include "apps/server/api/api_model.h"
#include "apps/server/api/request.h"

namespace gumbelspec::server::testing {

using nlohmann::json;

// Tokens 0 to 255 are bytes; then control tokens, then "ab" and the first two bytes of U+20AC.
inline constexpr TokenId kBos{256};
inline constexpr TokenId kImStart{257};
inline constexpr TokenId kImEnd{258};
inline constexpr TokenId kAb{259};
inline constexpr TokenId kHalfEuro{260};
inline constexpr std::size_t kVocabulary = 261;

// Grammars with "wrong" in them do not compile; all others allow everything.
struct FakeGrammar final : Grammar {
  explicit FakeGrammar(std::string text);
  [[nodiscard]] std::unique_ptr<TokenConstraint> matcher() const override;

  std::string gbnf;
  mutable int n_matchers = 0;
};

[[nodiscard]] ApiModel fake_model(bool has_draft = true);

// One token per byte.
[[nodiscard]] std::vector<TokenId> byte_tokens(std::string_view text);

// A round that appends these tokens: all but the last were drafted, as a chain, with one node
// beside it. Has logprobs -0.5 for each token, and n_top candidates -1, -2, ...
class FakeRound {
 public:
  explicit FakeRound(std::vector<TokenId> tokens, std::size_t n_top = 0);
  explicit FakeRound(std::string_view text) : FakeRound(byte_tokens(text)) {}
  [[nodiscard]] BatchRound view() const;

 private:
  std::vector<GeneratedToken> tokens_;
  std::vector<TokenLogprob> logprobs_;
  std::vector<TokenLogprob> top_;
  DraftTree tree_;
  WalkResult walk_;
};

// Statistics of a text of so many tokens, in rounds of two.
[[nodiscard]] Statistics statistics_of(std::size_t n_prompt, std::size_t n_generated);

// An answer and what it says.
struct Conversation {
  ApiModel model = fake_model();
  std::vector<std::string> events;
  std::vector<AnswerEnd> ends;
  std::size_t max_events = 1000;  // the client goes away behind them
  std::shared_ptr<Answer> answer;
  std::vector<TextJob> jobs;

  void ask_completion(const json& body);
  void ask_chat(const json& body);
  void ask_native(const json& body);
  void ask(const json& body, Endpoint endpoint) {
    ask(parse_request(body.dump(), model, endpoint));
  }
  bool say(std::string_view text, std::size_t job = 0);
  bool say(const FakeRound& round, std::size_t job = 0);
  void end(Outcome outcome = Outcome::eos, std::size_t job = 0, const Error* error = nullptr,
           std::size_t n_generated = 4);

  // The only body.
  [[nodiscard]] json body() const;
  // Event i, without "data: ".
  [[nodiscard]] json event(std::size_t i) const;
  // The text of all events' choices with this index.
  [[nodiscard]] std::string streamed(int index = 0) const;

 private:
  void ask(ParsedRequest request);
};

}  // namespace gumbelspec::server::testing

#endif  // GUMBELSPEC_TESTS_SERVER_API_FAKE_MODEL_H_
