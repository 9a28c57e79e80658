#include "testing/zoo/batches.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "gumbelspec/batch.h"
#include "gumbelspec/session.h"

namespace gumbelspec::zoo {
namespace {

using Tokens = std::vector<TokenId>;

struct Request {
  Tokens prompt;
  std::uint64_t seed = 0;
};

class Sink final : public TextSink {
 public:
  explicit Sink(Tokens& tokens) : tokens_(tokens) {}
  bool on_round(const BatchRound& round) override {
    for (const GeneratedToken& t : round.tokens) tokens_.push_back(t.token);
    return true;
  }
  void on_end(Outcome /*outcome*/, const Statistics& /*statistics*/,
              const Error* /*error*/) override {}

 private:
  Tokens& tokens_;
};

Tokens plainly(LanguageModel& target, const Request& request, std::size_t n_tokens) {
  Session session(target, nullptr, {.method = parse_method("ar"), .max_tokens = n_tokens});
  Outcome outcome = session.start(request.prompt, request.seed);
  while (outcome == Outcome::running) outcome = session.step();
  Tokens tokens;
  for (const GeneratedToken& t : session.generated()) tokens.push_back(t.token);
  return tokens;
}

std::vector<Tokens> in_batch(Batch& batch, const std::vector<Request>& requests, const char* method,
                             std::size_t n_tokens) {
  std::vector<Tokens> tokens(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    TextOptions options{.method = parse_method(method), .max_tokens = n_tokens};
    options.seed = requests[i].seed;
    batch.add(requests[i].prompt, options, std::make_unique<Sink>(tokens[i]));
  }
  while (batch.step()) {
  }
  return tokens;
}

// What a template makes of a turn: the answer without what was thought first, and a new message.
Request next_turn(const Request& request, const Tokens& answer) {
  constexpr std::size_t kThought = 4;
  constexpr std::size_t kMessage = 20;
  Request next = request;
  next.prompt.insert(
      next.prompt.end(),
      answer.begin() + static_cast<std::ptrdiff_t>(std::min(kThought, answer.size())),
      answer.end());
  for (std::size_t i = 0; i < kMessage; ++i) next.prompt.push_back(request.prompt[3 * i % 40]);
  return next;
}

std::shared_ptr<CostModel> costs() {
  const auto curve = [](double one) {
    return PassCost({{1, one}, {8, 1.2 * one}, {64, 3.0 * one}}, /*refines=*/false);
  };
  return std::make_shared<CostModel>(CostModel{curve(10e-3), curve(1e-3), true});
}

}  // namespace

TextReport compare_batches(LanguageModel& target, LanguageModel& draft,
                           const std::vector<std::vector<TokenId>>& prompts, std::size_t n_tokens,
                           std::size_t& n_reused) {
  TextReport report;
  std::vector<Request> first;
  for (const Tokens& prompt : prompts) {
    for (const std::uint64_t seed : {1, 2}) first.push_back({prompt, seed});
  }
  std::vector<Request> second;
  std::vector<Tokens> expected[2];
  for (const Request& request : first) {
    expected[0].push_back(plainly(target, request, n_tokens));
    second.push_back(next_turn(request, expected[0].back()));
    expected[1].push_back(plainly(target, second.back(), n_tokens));
  }
  for (const char* method : {"gumbel-chain:length=3", "gumbel-tree", "ar"}) {
    Batch batch(target, &draft, {.costs = costs()});
    for (const bool is_second : {false, true}) {
      const std::vector<Tokens> texts =
          in_batch(batch, is_second ? second : first, method, n_tokens);
      for (std::size_t i = 0; i < texts.size(); ++i) {
        ++report.n_texts;
        if (texts[i] == expected[is_second ? 1 : 0][i]) {
          ++report.n_identical;
        } else if (report.first_different.empty()) {
          report.first_different = std::string(method) + " in a batch, text " + std::to_string(i) +
                                   (is_second ? " in its second turn" : "");
        }
      }
    }
    n_reused += batch.statistics().n_prompt_reused;
  }
  return report;
}

}  // namespace gumbelspec::zoo
