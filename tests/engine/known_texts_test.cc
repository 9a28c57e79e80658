// Texts that were written down before the truncations were made anew (noise version 1). Whatever
// becomes faster, the text of a seed is this one.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "gumbelspec/session.h"
#include "testing/row_model.h"

namespace gumbelspec {
namespace {

using testing::RowModel;

constexpr std::size_t kSeeds = 3;
constexpr std::array<std::size_t, 2> kVocabularies = {4096, 151936};
constexpr std::array<float, 2> kScales = {testing::kPeakedScale, testing::kFlatScale};

// Fingerprints of texts. [vocabulary, scale, seed]
using Answers = std::array<std::uint64_t, 2 * 2 * kSeeds>;

struct Setting {
  const char* name;
  SamplingOptions options;
  bool is_masked;
  Answers answers;
};

SamplingOptions penalised(SamplingOptions o) {
  o.repeat_penalty = 1.3F;
  o.presence_penalty = 0.4F;
  o.frequency_penalty = 0.2F;
  o.penalty_last_n = 20;
  return o;
}

SamplingOptions biased(SamplingOptions o) {
  o.logit_bias = {{TokenId{3}, 6.5F},
                  {TokenId{77}, -2.0F},
                  {TokenId{4000}, 5.0F},
                  {TokenId{5}, -std::numeric_limits<float>::infinity()}};
  return o;
}

const std::vector<Setting>& settings() {
  static const std::vector<Setting> kAll = {
#include "tests/engine/known_texts.inc"
  };
  return kAll;
}

// FNV-1a over the tokens, the second best ones, and by how much these were beaten, to the bit.
class Fingerprint {
 public:
  void add(TokenId token, TokenId runner_up, float margin) {
    add(static_cast<std::uint32_t>(token));
    add(static_cast<std::uint32_t>(runner_up));
    add(__builtin_bit_cast(std::uint32_t, margin));
  }
  [[nodiscard]] std::uint64_t value() const { return hash_; }

 private:
  void add(std::uint32_t word) {
    for (int i = 0; i < 4; ++i) {
      hash_ = (hash_ ^ ((word >> (8 * i)) & 0xFFU)) * 0x100000001B3U;
    }
  }
  std::uint64_t hash_ = 0xCBF29CE484222325U;
};

const std::vector<TokenId>& prompt() {
  static const std::vector<TokenId> kTokens = {TokenId{1}, TokenId{77}, TokenId{2}};
  return kTokens;
}

std::size_t n_tokens(std::size_t n_vocab) { return n_vocab > 10000 ? 12 : 48; }

// Two of three tokens.
std::vector<std::uint32_t> mask(std::size_t n_vocab) {
  std::vector<std::uint32_t> words((n_vocab + 31) / 32);
  for (std::size_t i = 0; i < n_vocab; ++i) {
    if (i % 3 != 1) words[i / 32] |= 1U << (i % 32);
  }
  return words;
}

// The rule itself, from the parts of core.
std::uint64_t text_by_rule(const RowModel& model, const Setting& setting, std::uint64_t seed) {
  const std::size_t n_vocab = model.limits().n_vocab;
  LogWeights weights(setting.options, n_vocab);
  std::vector<float> noise(n_vocab);
  std::vector<std::uint32_t> allowed;
  if (setting.is_masked) allowed = mask(n_vocab);
  std::vector<TokenId> text = prompt();
  Fingerprint print;
  for (std::size_t i = 0; i < n_tokens(n_vocab); ++i) {
    fill_noise({seed, 0}, position_after(text.size()), noise);
    const std::span<const float> row =
        weights(model.row_after(text.back()), TextView{text, {}}, allowed);
    const Choice choice = weights.uses_noise() ? choose(row, noise) : choose(row, {});
    print.add(choice.token, choice.runner_up, choice.margin);
    text.push_back(choice.token);
  }
  return print.value();
}

std::uint64_t text_of_session(RowModel& target, RowModel& draft, const Setting& setting,
                              const char* method, std::uint64_t seed) {
  Session session(target, &draft,
                  {.sampling = setting.options,
                   .method = parse_method(method),
                   .max_tokens = n_tokens(target.limits().n_vocab)},
                  {.costs = std::make_shared<CostModel>()});
  Outcome outcome = session.start(prompt(), seed);
  while (outcome == Outcome::running) outcome = session.step();
  Fingerprint print;
  for (const GeneratedToken& t : session.generated()) print.add(t.token, t.runner_up, t.margin);
  return print.value();
}

// Calls visit(model, draft, place in the answers, seed).
template <class Visit>
void for_each_text(std::size_t first_vocabulary, Visit visit) {
  for (std::size_t v = first_vocabulary; v < kVocabularies.size(); ++v) {
    for (std::size_t s = 0; s < kScales.size(); ++s) {
      RowModel target({.n_vocab = kVocabularies[v], .scale = kScales[s]});
      RowModel draft({.n_vocab = kVocabularies[v],
                      .scale = kScales[s],
                      .own_seed = 9,
                      .own_share = 0.2F * kScales[s]});
      visit(target, draft, (v * kScales.size() + s) * kSeeds);
    }
  }
}

TEST(KnownTexts, AreSaidByTheRule) {
  std::vector<Answers> got(settings().size());
  for_each_text(0, [&](RowModel& target, RowModel& /*draft*/, std::size_t place) {
    for (std::size_t i = 0; i < settings().size(); ++i) {
      for (std::size_t seed = 0; seed < kSeeds; ++seed) {
        got[i][place + seed] = text_by_rule(target, settings()[i], seed + 1);
      }
    }
  });
  for (std::size_t i = 0; i < settings().size(); ++i) {
    std::string text;
    for (const std::uint64_t hash : got[i]) text += std::to_string(hash) + "U, ";
    EXPECT_EQ(got[i], settings()[i].answers) << settings()[i].name << ": " << text;
  }
}

TEST(KnownTexts, AreSaidWithEveryMethod) {
  for_each_text(0, [&](RowModel& target, RowModel& draft, std::size_t place) {
    for (const Setting& setting : settings()) {
      if (setting.is_masked) continue;
      for (const char* method : {"ar", "gumbel-tree:nodes=16", "gumbel-beam", "greedy-chain"}) {
        const std::size_t n_seeds = target.limits().n_vocab > 10000 ? 1 : kSeeds;
        for (std::size_t seed = 0; seed < n_seeds; ++seed) {
          EXPECT_EQ(text_of_session(target, draft, setting, method, seed + 1),
                    setting.answers[place + seed])
              << setting.name << ", " << method << ", " << target.limits().n_vocab << " tokens";
        }
      }
    }
  });
}

}  // namespace
}  // namespace gumbelspec
