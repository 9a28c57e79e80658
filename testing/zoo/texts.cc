#include "testing/zoo/texts.h"

#include <algorithm>
#include <memory>

#include "gumbelspec/costs.h"
#include "gumbelspec/session.h"

namespace gumbelspec::zoo {
namespace {

struct Text {
  std::vector<GeneratedToken> tokens;
  Statistics statistics;
};

// Passes cost what they would on a large model: a planned tree drafts, and plans the same on every
// machine.
std::shared_ptr<CostModel> fixed_costs() {
  const auto curve = [](double one) {
    return PassCost({{1, one}, {8, 1.2 * one}, {64, 3.0 * one}}, /*refines=*/false);
  };
  return std::make_shared<CostModel>(CostModel{curve(10e-3), curve(1e-3), true});
}

class Texts {
 public:
  Texts(LanguageModel& target, std::size_t n_tokens) : target_(target) {
    options_.max_tokens = n_tokens;
    costs_ = fixed_costs();
  }

  Text generate(LanguageModel* draft, const Method& method, float temperature,
                std::span<const TokenId> prompt) {
    TextOptions options = options_;
    options.method = method;
    options.sampling.temperature = temperature;
    Session session(target_, draft, options, {.costs = costs_});
    Outcome outcome = session.start(prompt, /*seed=*/7);
    while (outcome == Outcome::running) outcome = session.step();
    return {{session.generated().begin(), session.generated().end()}, session.statistics()};
  }

 private:
  LanguageModel& target_;
  TextOptions options_;
  std::shared_ptr<CostModel> costs_;
};

// Where two texts part; their length if they do not.
std::size_t common_prefix(const std::vector<GeneratedToken>& a,
                          const std::vector<GeneratedToken>& b) {
  const auto same = [](const GeneratedToken& x, const GeneratedToken& y) {
    return x.token == y.token;
  };
  const auto [end, unused] = std::mismatch(a.begin(), a.end(), b.begin(), b.end(), same);
  return static_cast<std::size_t>(end - a.begin());
}

// name: which text it is, should it be the first that is another one.
void compare(const Text& expected, const Text& text, const std::string& name, TextReport& report) {
  const std::size_t n_same = common_prefix(expected.tokens, text.tokens);
  if (n_same == expected.tokens.size() && n_same == text.tokens.size()) {
    ++report.n_identical;
    return;
  }
  const float margin = n_same < expected.tokens.size() ? expected.tokens[n_same].margin : 0.0F;
  report.margin = std::max(report.margin, margin);
  if (report.first_different.empty()) {
    report.first_different = name + ", from token " + std::to_string(n_same);
  }
}

}  // namespace

TextReport compare_texts(LanguageModel& target, LanguageModel& draft, LanguageModel& useless,
                         const std::vector<std::vector<TokenId>>& prompts, std::size_t n_tokens) {
  struct Run {
    const char* method;
    LanguageModel* draft;
    const char* name;
    bool is_for_all = true;  // for prompts but the first, too: long ones take their time
  };
  const Run runs[] = {
      {"gumbel-chain:length=3", &draft, "itself"},
      {"gumbel-beam:width=3,length=3", &draft, "itself"},
      {"gumbel-tree:nodes=8", &draft, "itself", false},
      {"gumbel-tree", &draft, "itself", false},
      {"gumbel-chain:length=3", &useless, "a useless model", false},
      {"gumbel-beam:width=3,length=3", &useless, "a useless model", false},
      {"gumbel-tree:nodes=8", &useless, "a useless model", false},
      {"gumbel-tree", &useless, "a useless model"},
  };
  Texts texts(target, n_tokens);
  TextReport report;
  Statistics own;
  Statistics others;
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    for (const float temperature : {0.0F, 1.0F}) {
      const Text expected = texts.generate(nullptr, parse_method("ar"), temperature, prompts[p]);
      for (const Run& run : runs) {
        if (p > 0 && !run.is_for_all) continue;
        const PossibleMethod possible =
            possible_method(parse_method(run.method), target.limits(), run.draft->limits());
        if (!possible.method.drafts()) {
          // All methods are the same one then.
          if (report.is_plain && &run != &runs[0]) continue;
          report.is_plain = true;
        }
        const Text text = texts.generate(run.draft, possible.method, temperature, prompts[p]);
        const bool is_chain =
            report.is_plain ||
            (possible.method.kind == MethodKind::gumbel_chain && possible.method.length == 3);
        if (is_chain) {
          Statistics& sum = run.draft == &draft ? own : others;
          sum.n_generated += text.statistics.n_generated;
          sum.n_target_passes += text.statistics.n_target_passes;
        }
        ++report.n_texts;
        compare(expected, text,
                std::string(run.method) + " with " + run.name + ", temperature " +
                    (temperature > 0.0F ? "1" : "0") + ", prompt of " +
                    std::to_string(prompts[p].size()),
                report);
      }
    }
  }
  report.chain_tokens_per_pass = own.tokens_per_pass();
  report.useless_tokens_per_pass = others.tokens_per_pass();
  return report;
}

void add(TextReport& sum, const TextReport& one) {
  sum.n_texts += one.n_texts;
  sum.n_identical += one.n_identical;
  if (sum.first_different.empty()) sum.first_different = one.first_different;
  sum.margin = std::max(sum.margin, one.margin);
  sum.chain_tokens_per_pass = std::min(sum.chain_tokens_per_pass, one.chain_tokens_per_pass);
  sum.useless_tokens_per_pass = std::min(sum.useless_tokens_per_pass, one.useless_tokens_per_pass);
}

}  // namespace gumbelspec::zoo
