#include "apps/cli/selftest_identity.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "apps/common/stop_signals.h"

namespace gumbelspec::apps::cli {
namespace {

struct Text {
  std::size_t prompt = 0;  // index
  std::uint64_t seed = 0;
};

std::vector<Text> all_texts(const IdentityOptions& options) {
  std::vector<Text> texts;
  for (std::size_t prompt = 0; prompt < options.prompts.size(); ++prompt) {
    for (std::uint64_t seed = 1; seed <= options.n_seeds; ++seed) texts.push_back({prompt, seed});
  }
  return texts;
}

std::string count(std::size_t i, std::size_t n) {
  return " " + std::to_string(i) + "/" + std::to_string(n);
}

class IdentityCheck {
 public:
  IdentityCheck(const IdentityOptions& options, const Models& models, Progress& progress)
      : options_(options), models_(models), progress_(progress), texts_(all_texts(options)) {
    for (const std::string& prompt : options.prompts) {
      prompts_.push_back(models.target->tokenize(prompt));
    }
  }

  void generate_expected() {
    Session plain(*models_.target, nullptr, text_options(parse_method("ar")),
                  {.is_cancelled = stop_requested});
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      progress_.show("identity: ar" + count(i, texts_.size()));
      const std::span<const GeneratedToken> text = generate(plain, texts_[i]);
      expected_.emplace_back(text.begin(), text.end());
    }
  }

  MethodIdentity compare(const Method& method) {
    Session session(*models_.target, models_.drafting(), text_options(method),
                    {.is_cancelled = stop_requested});
    MethodIdentity result{method, 0, 0, {}};
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      progress_.show("identity: " + to_string(method) + count(i, texts_.size()));
      const std::span<const GeneratedToken> text = generate(session, texts_[i]);
      const std::size_t n_same = common_prefix(expected_[i], text);
      ++result.n_texts;
      result.n_tokens += n_same;
      if (n_same == expected_[i].size() && n_same == text.size()) continue;
      ++result.n_tokens;  // the one that differs was compared, too
      result.differences.push_back({texts_[i].prompt, texts_[i].seed, n_same,
                                    piece_at(expected_[i], n_same), piece_at(text, n_same),
                                    margin_at(expected_[i], text, n_same, *models_.target)});
    }
    return result;
  }

 private:
  [[nodiscard]] TextOptions text_options(const Method& method) const {
    TextOptions session;
    session.sampling = options_.sampling;
    session.method = method;
    session.max_tokens = options_.n_tokens;
    return session;
  }

  std::span<const GeneratedToken> generate(Session& session, const Text& text) {
    Outcome outcome = session.start(prompts_[text.prompt], text.seed);
    while (outcome == Outcome::running) outcome = session.step();
    if (outcome == Outcome::cancelled) throw Stopped();
    return session.generated();
  }

  [[nodiscard]] std::string piece_at(std::span<const GeneratedToken> text, std::size_t i) const {
    return i < text.size() ? models_.target->piece(text[i].token) : std::string();
  }

  const IdentityOptions& options_;
  const Models& models_;
  Progress& progress_;
  std::vector<Text> texts_;
  std::vector<std::vector<TokenId>> prompts_;
  std::vector<std::vector<GeneratedToken>> expected_;  // [texts_.size()], by plain decoding
};

}  // namespace

std::vector<Method> selftest_methods() {
  std::vector<Method> methods;
  for (const char* text :
       {"greedy-chain", "gumbel-chain:length=1", "gumbel-chain:length=3", "gumbel-chain:length=5",
        "gumbel-chain:length=8", "gumbel-beam:width=2,length=3", "gumbel-beam:width=4,length=5",
        "gumbel-beam:width=4,length=5,keep=0", "gumbel-beam:width=8,length=8",
        "gumbel-tree:nodes=16", "gumbel-tree"}) {
    methods.push_back(parse_method(text));
  }
  return methods;
}

std::size_t common_prefix(std::span<const GeneratedToken> a, std::span<const GeneratedToken> b) {
  const auto same = [](const GeneratedToken& x, const GeneratedToken& y) {
    return x.token == y.token;
  };
  const auto [end, unused] = std::mismatch(a.begin(), a.end(), b.begin(), b.end(), same);
  return static_cast<std::size_t>(end - a.begin());
}

float margin_at(std::span<const GeneratedToken> a, std::span<const GeneratedToken> b,
                std::size_t at, const LanguageModel& target) {
  constexpr float kUnknown = std::numeric_limits<float>::infinity();
  // One text ended: known only if the other run had that end in second place.
  if (at >= a.size() || at >= b.size()) {
    const GeneratedToken& longer = at < a.size() ? a[at] : b[at];
    // NOLINTNEXTLINE(bugprone-narrowing-conversions): both are floats
    return target.is_end(longer.runner_up) ? longer.margin : kUnknown;
  }
  if (a[at].runner_up == b[at].token) return a[at].margin;
  if (b[at].runner_up == a[at].token) return b[at].margin;
  return std::max(a[at].margin, b[at].margin);
}

std::size_t IdentityResult::n_texts() const {
  return std::accumulate(methods.begin(), methods.end(), std::size_t{0},
                         [](std::size_t n, const MethodIdentity& m) { return n + m.n_texts; });
}

std::size_t IdentityResult::n_tokens() const {
  return std::accumulate(methods.begin(), methods.end(), std::size_t{0},
                         [](std::size_t n, const MethodIdentity& m) { return n + m.n_tokens; });
}

std::size_t IdentityResult::n_different() const {
  return std::accumulate(
      methods.begin(), methods.end(), std::size_t{0},
      [](std::size_t n, const MethodIdentity& m) { return n + m.differences.size(); });
}

float IdentityResult::largest_margin() const {
  float largest = 0.0F;
  for (const MethodIdentity& method : methods) {
    for (const Difference& d : method.differences) largest = std::max(largest, d.margin);
  }
  return largest;
}

Verdict IdentityResult::verdict() const {
  if (n_different() == 0) return Verdict::exact;
  const bool are_few =
      static_cast<double>(n_different()) <= kMaxShare * static_cast<double>(n_texts());
  if (largest_margin() > kMaxMargin || (!are_few && is_promised)) return Verdict::different;
  return are_few ? Verdict::nearly_exact : Verdict::not_promised;
}

IdentityResult check_identity(const IdentityOptions& options, const Models& models,
                              Progress& progress) {
  IdentityCheck check(options, models, progress);
  check.generate_expected();
  IdentityResult result;
  result.is_promised = models.target->guarantee().holds;
  for (const Method& method : options.methods) result.methods.push_back(check.compare(method));
  progress.clear();
  return result;
}

}  // namespace gumbelspec::apps::cli
