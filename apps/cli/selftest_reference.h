// The part of the self-test whose oracle is not ourselves: the models as this program runs them
// against llama.cpp's own code, on the rows of one text.
#ifndef GUMBELSPEC_APPS_CLI_SELFTEST_REFERENCE_H_
#define GUMBELSPEC_APPS_CLI_SELFTEST_REFERENCE_H_

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/cli/forced_passes.h"
#include "apps/cli/row_distance.h"
#include "apps/common/model_options.h"
#include "gumbelspec/llama_model.h"

namespace gumbelspec::apps::cli {

// Rounding is what llama.cpp shows against itself, in another arrangement of the same model. Ours
// comes from the same sources, above all from activations of eight bits, and is as large: 0.7
// to 1.3 times as far in the models that were tried (docs/exactness.md). An operation that is
// computed wrong is 50 times as far. So many times are allowed:
inline constexpr double kTimesRounding = 3.0;
inline constexpr double kLeastLimit = 0.002;  // bfloat16's own rounding
inline constexpr float kLeastMargin = 0.1F;   // of two tokens' logits
// Where llama.cpp computes the same bits in both arrangements (models without attention).
inline constexpr double kUnmeasuredLimit = 0.06;
inline constexpr float kUnmeasuredMargin = 1.0F;
// Beyond this nothing is called rounding, whatever llama.cpp shows.
inline constexpr double kMostLimit = 0.5;

// Of one model.
struct ReferenceResult {
  std::string model;                                 // "target", "draft"
  std::string compared;                              // how it was run, in words
  std::string rounding_of;                           // what the rounding was measured on, in words
  std::array<RowDistances, kPassKinds.size()> ours;  // by PassKind
  std::array<RowDistances, kPassKinds.size()> rounding;  // by PassKind

  // Of the median of the rows' relative distances.
  [[nodiscard]] double limit() const;
  // Of their mean: what is wrong in a few rows does not move the median.
  [[nodiscard]] double mean_limit() const;
  // Of the margin between likeliest tokens that differ.
  [[nodiscard]] float margin_limit() const;
  // Whether the rows of these passes are as near as rounding explains, their choices included.
  [[nodiscard]] bool is_near(PassKind kind) const;
  [[nodiscard]] bool passed() const;
};

// Whether the target's rows depend on the pass: measured beside what is said of it.
struct PassesResult {
  PassGuarantee said;
  std::size_t n_rows = 0;       // of passes over several tokens
  std::size_t n_different = 0;  // that are not the bits of single tokens' rows
  float largest = 0.0F;         // difference of one logit

  // Not the other way round: rows may agree by chance.
  [[nodiscard]] bool passed() const { return !said.holds || n_different == 0; }
};

struct ReferenceReport {
  std::vector<ReferenceResult> models;
  PassesResult passes;
  std::size_t n_tokens = 0;  // of the text

  [[nodiscard]] bool passed() const;
};

struct ReferenceOptions {
  ModelOptions models;
  std::vector<std::string> prompts;  // the text
  std::size_t n_tokens = 256;
};

// Loads every model several times, one after the other. Throws: Error; Stopped.
[[nodiscard]] ReferenceReport check_reference(const ReferenceOptions& options, Progress& progress);

// The comparison itself. ours, rounding: see every row of force_all_kinds(); reference: that of
// force_singly(). Requires: the same tokens and vocabulary.
[[nodiscard]] ReferenceResult compare_with_reference(LanguageModel& ours, LanguageModel& rounding,
                                                     LanguageModel& reference,
                                                     const ForcedText& text);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_SELFTEST_REFERENCE_H_
