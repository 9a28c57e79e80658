// The part of the self-test that runs on the models: one seed, one text, whatever the method.
#ifndef GUMBELSPEC_APPS_CLI_SELFTEST_IDENTITY_H_
#define GUMBELSPEC_APPS_CLI_SELFTEST_IDENTITY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/common/model_options.h"
#include "apps/common/output.h"
#include "gumbelspec/method.h"
#include "gumbelspec/sampling.h"
#include "gumbelspec/session.h"

namespace gumbelspec::apps::cli {

// Twenty openings of English prose.
[[nodiscard]] std::span<const std::string_view> selftest_prompts();

// Chains and beams of several shapes.
[[nodiscard]] std::vector<Method> selftest_methods();

struct IdentityOptions {
  std::vector<std::string> prompts;
  std::size_t n_seeds = 3;     // seeds 1, 2, ... for each prompt
  std::size_t n_tokens = 100;  // per text
  SamplingOptions sampling;
  std::vector<Method> methods;  // compared with plain decoding
};

// Where a text leaves the one of plain decoding; what follows is another text.
struct Difference {
  std::size_t prompt = 0;  // index
  std::uint64_t seed = 0;
  std::size_t position = 0;  // index among the generated tokens
  std::string expected;      // the candidates' text; empty: the text ended there
  std::string got;
  // Score of the one minus score of the other. Where they were not the two best of either run:
  // a lower bound. Infinity: unknown.
  float margin = 0.0F;
};

struct MethodIdentity {
  Method method;
  std::size_t n_texts = 0;
  std::size_t n_tokens = 0;  // compared, up to each text's first difference
  std::vector<Difference> differences;
};

enum class Verdict {
  exact,         // no difference
  nearly_exact,  // few, and each a close race: the arithmetic of llama.cpp, not a wrong sampler
  not_promised,  // more of them, where nobody promised otherwise
  different,
};

// Limits over all methods: of nearly_exact both, of not_promised that of the margins.
inline constexpr double kMaxShare = 0.05;
inline constexpr float kMaxMargin = 0.3F;

struct IdentityResult {
  std::vector<MethodIdentity> methods;
  // Whether the target's logits are the same bits in every pass here: LlamaModel::guarantee().
  bool is_promised = true;

  [[nodiscard]] std::size_t n_texts() const;
  [[nodiscard]] std::size_t n_tokens() const;
  [[nodiscard]] std::size_t n_different() const;
  [[nodiscard]] float largest_margin() const;  // 0 without differences
  [[nodiscard]] Verdict verdict() const;
};

// Index of the first token that differs, or of the end of the shorter text;
// the common length if there is no difference.
[[nodiscard]] std::size_t common_prefix(std::span<const GeneratedToken> a,
                                        std::span<const GeneratedToken> b);

// The margin between what two texts say at the first place where they differ.
// Requires: they differ at `at`.
[[nodiscard]] float margin_at(std::span<const GeneratedToken> a, std::span<const GeneratedToken> b,
                              std::size_t at, const LanguageModel& target);

// Throws: Error; Stopped.
[[nodiscard]] IdentityResult check_identity(const IdentityOptions& options, const Models& models,
                                            Progress& progress);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_SELFTEST_IDENTITY_H_
