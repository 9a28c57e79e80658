#include "apps/cli/selftest_reference.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "apps/common/stop_signals.h"
#include "gumbelspec/error.h"

namespace gumbelspec::apps::cli {
namespace {

// By position; those of the prompt are empty.
using Rows = std::vector<std::vector<float>>;
using Distances = std::array<RowDistances, kPassKinds.size()>;

// Rows that are kept for comparison; the largest vocabularies get a shorter text.
constexpr std::size_t kMostRowBytes = std::size_t{256} << 20U;

Rows rows_of(LanguageModel& model, const ForcedText& text) {
  Rows rows(text.tokens.size());
  force_singly(model, text, [&](std::size_t position, PassKind, std::span<const float> row) {
    rows[position].assign(row.begin(), row.end());
  });
  return rows;
}

Distances distances_of(LanguageModel& model, const ForcedText& text, const Rows& reference) {
  Distances distances;
  force_all_kinds(
      model, text, [&](std::size_t position, PassKind kind, std::span<const float> row) {
        distances[static_cast<std::size_t>(kind)].add(row_distance(row, reference[position]));
      });
  return distances;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Its own rows of single tokens are the oracle here.
PassesResult measure_passes(LlamaModel& model, const ForcedText& text) {
  PassesResult result;
  result.said = model.guarantee();
  // Plain decoding has one kind of pass.
  if (model.limits().longest_chain() == 0) return result;
  const Rows alone = rows_of(model, text);
  force_all_kinds(model, text, [&](std::size_t position, PassKind, std::span<const float> row) {
    ++result.n_rows;
    if (same_bits(row, alone[position])) return;
    ++result.n_different;
    result.largest = std::max(result.largest, row_distance(row, alone[position]).largest);
  });
  return result;
}

// One model of the pair, and how it can be loaded.
struct Role {
  std::string name;
  LlamaModelOptions options;
  bool is_draft = false;
};

std::unique_ptr<LlamaModel> load(const Role& role, const LlamaModelOptions& options,
                                 Progress& progress) {
  return role.is_draft ? load_draft(options, progress) : load_model(options, progress);
}

const char* name_of(Attention attention) {
  return attention == Attention::exact ? "exact attention" : "its default attention";
}

class ReferenceCheck {
 public:
  ReferenceCheck(const ReferenceOptions& options, Progress& progress)
      : options_(options), progress_(progress) {}

  ReferenceReport run() {
    Role target{"target", target_load_options(options_.models, progress_), false};
    ModelLimits limits;
    {
      const auto model = load(target, target.options, progress_);
      limits = model->limits();
      text_ = text_for(*model);
      progress_.show("reference: target, the same bits in every pass?");
      report_.passes = measure_passes(*model, text_);
    }
    report_.n_tokens = text_.tokens.size();
    compare(target);
    // A head's logits depend on another model's states.
    if (!options_.models.draft.empty() && !LlamaModel::is_head_file(options_.models.draft)) {
      Role draft{"draft", draft_load_options(options_.models, limits, progress_), true};
      compare(draft);
    }
    progress_.clear();
    return std::move(report_);
  }

 private:
  [[nodiscard]] ForcedText text_for(const LlamaModel& model) const {
    std::string text;
    for (const std::string& prompt : options_.prompts) text += prompt + "\n";
    const std::size_t row_bytes = model.limits().n_vocab * sizeof(float);
    const std::size_t n = std::min(options_.n_tokens, kMostRowBytes / row_bytes);
    return forced_text(model.tokenize(text), std::max<std::size_t>(n, 32), model.limits());
  }

  void compare(const Role& role) {
    const LlamaModelOptions& ours = role.options;
    const bool has_kernels = !ours.order_free_types.empty();
    LlamaModelOptions reference = ours;
    reference.accelerators = false;
    reference.attention = Attention::fast;
    // The kernels aside, or if there are none, the attention.
    LlamaModelOptions rounding = ours;
    rounding.accelerators = false;
    if (!has_kernels) {
      rounding.attention = ours.attention == Attention::exact ? Attention::fast : Attention::exact;
    }
    ReferenceResult result;
    result.model = role.name;
    result.compared = std::string(has_kernels ? "the kernels" : "ggml's code") + " and " +
                      name_of(ours.attention);
    result.rounding_of = std::string("ggml's code and ") + name_of(rounding.attention);
    Rows rows;
    {
      progress_.show("reference: " + role.name + ", llama.cpp's own code");
      const auto model = load(role, reference, progress_);
      // A draft may be trained for less.
      if (model->limits().n_context < text_.tokens.size() + 24) shorten(*model);
      rows = rows_of(*model, text_);
    }
    progress_.show("reference: " + role.name + ", its rounding");
    result.rounding = distances_of(*load(role, rounding, progress_), text_, rows);
    progress_.show("reference: " + role.name + ", as it is used");
    result.ours = distances_of(*load(role, ours, progress_), text_, rows);
    report_.models.push_back(std::move(result));
  }

  void shorten(const LlamaModel& model) {
    text_ = forced_text(text_.tokens, text_.tokens.size(), model.limits());
  }

  const ReferenceOptions& options_;
  Progress& progress_;
  ForcedText text_;
  ReferenceReport report_;
};

RowDistances all_of(const Distances& kinds) {
  RowDistances all;
  for (const RowDistances& kind : kinds) all.add(kind);
  return all;
}

}  // namespace

double ReferenceResult::limit() const {
  const double measured = all_of(rounding).median();
  if (measured == 0.0) return kUnmeasuredLimit;
  return std::clamp(kTimesRounding * measured, kLeastLimit, kMostLimit);
}

double ReferenceResult::mean_limit() const {
  return std::max(kTimesRounding * all_of(rounding).mean(), 2.0 * limit());
}

float ReferenceResult::margin_limit() const {
  const float measured = all_of(rounding).largest();
  if (measured == 0.0F) return kUnmeasuredMargin;
  return std::max(static_cast<float>(kTimesRounding) * measured, kLeastMargin);
}

bool ReferenceResult::is_near(PassKind kind) const {
  const RowDistances& rows = ours[static_cast<std::size_t>(kind)];
  return rows.median() <= limit() && rows.mean() <= mean_limit() &&
         rows.largest_margin() <= margin_limit();
}

bool ReferenceResult::passed() const {
  return is_near(PassKind::many) && is_near(PassKind::single) && is_near(PassKind::tree);
}

ReferenceResult compare_with_reference(LanguageModel& ours, LanguageModel& rounding,
                                       LanguageModel& reference, const ForcedText& text) {
  const Rows rows = rows_of(reference, text);
  ReferenceResult result;
  result.rounding = distances_of(rounding, text, rows);
  result.ours = distances_of(ours, text, rows);
  return result;
}

bool ReferenceReport::passed() const {
  return passes.passed() && std::all_of(models.begin(), models.end(),
                                        [](const ReferenceResult& m) { return m.passed(); });
}

ReferenceReport check_reference(const ReferenceOptions& options, Progress& progress) {
  return ReferenceCheck(options, progress).run();
}

}  // namespace gumbelspec::apps::cli
