// A trace: texts of plain decoding, with what the target and the draft said at each position of
// them. Methods can be evaluated on it without the models (replay.h). docs/bench.md has the
// file's format and what a replay is worth.
#ifndef GUMBELSPEC_APPS_BENCH_TRACE_H_
#define GUMBELSPEC_APPS_BENCH_TRACE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apps/common/report.h"
#include "gumbelspec/language_model.h"

namespace gumbelspec::apps::bench {

inline constexpr int kTraceVersion = 1;

// One model's distribution after a text. The weights are logits after penalties and after top-k,
// top-p and min-p, before the temperature, minus the largest one; each is a float16 number.
struct TraceRow {
  std::vector<TokenId> tokens;  // ascending
  std::vector<float> weights;   // of these tokens
  // Tokens that are allowed, but not among those above, and the log of their mass at the text's
  // temperature: of the sum of exp(weight / temperature).
  std::uint32_t n_rest = 0;
  float log_rest = 0.0F;  // without meaning if n_rest is 0
};

struct TraceText {
  std::size_t temperature = 0;  // index
  std::size_t prompt = 0;       // index
  std::size_t run = 0;
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  std::size_t n_prompt = 0;     // tokens
  std::vector<TokenId> tokens;  // prompt, what followed, and the token that ended the text, if any
  // Element i: after the first n_prompt + i tokens. Shape: [tokens.size() - n_prompt].
  std::vector<TraceRow> target;
  std::vector<TraceRow> draft;
};

enum class TraceSide { target, draft };

// What the models of a trace were.
struct TraceModels {
  std::array<ModelLimits, 2> limits;  // by TraceSide
  std::vector<TokenId> end_tokens;
  std::array<std::vector<CostPoint>, 2> costs;  // as measured while recording
};

struct Trace {
  Json about;  // machine, versions, models, settings, as in the JSON of a benchmark
  TraceModels models;
  std::vector<float> temperatures;
  std::size_t n_prompts = 0;
  std::size_t n_runs = 0;
  std::size_t n_tokens = 0;  // of a text at most
  std::uint64_t seed = 0;    // the first one
  std::vector<TraceText> texts;
};

// Throws: Error{file_not_found, invalid_option} on one line: not a trace, another version, cut
// short, changed.
[[nodiscard]] Trace read_trace(const std::string& path);

// The file's bytes. name: the file in messages.
[[nodiscard]] std::string trace_bytes(const Trace& trace);
[[nodiscard]] Trace parse_trace(std::string_view bytes, const std::string& name);

// The float16 nearest to a finite number (of two the even one; at most the largest finite one), and
// back.
[[nodiscard]] std::uint16_t to_half(float value);
[[nodiscard]] float from_half(std::uint16_t half);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_TRACE_H_
