// A target, its draft, and what is known about the two.
#ifndef GUMBELSPEC_PAIR_H_
#define GUMBELSPEC_PAIR_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "gumbelspec/calibration_store.h"
#include "gumbelspec/costs.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/method.h"
#include "gumbelspec/session.h"
#include "gumbelspec/vocabularies.h"

namespace gumbelspec {

class CostCache;

struct PairOptions {
  LlamaModelOptions target = {};
  // As draft_options() makes them; an empty path: no draft; a head's target is put in. They may be
  // changed afterwards.
  std::function<LlamaModelOptions(const LlamaModel& target)> draft = {};
  // Whether a target whose file has MTP layers drafts with them where no draft is given.
  bool uses_mtp = true;
  bool uses_kernels = true;  // this project's CPU kernels, where the processor has what they need
  // Keeps in cost_cache_folder() what passes cost and what planners learnt, for later processes.
  bool uses_cost_cache = true;
};

// How a draft is loaded that drafts for this target: as the target was, with its context, in this
// machine (drafting takes many short passes, which a network would make long), with fast attention,
// since its last bits decide at most how fast it goes.
[[nodiscard]] LlamaModelOptions draft_options(const std::string& path,
                                              const LlamaModelOptions& target_options,
                                              const ModelLimits& target);

// $XDG_CACHE_HOME or ~/.cache, then gumbelspec/costs; empty: there is none.
[[nodiscard]] std::string cost_cache_folder();

// What the program loads before it does anything: the models with the kernels and the layout of
// weights that go with them, a draft that fits, and what earlier runs found out about both.
//
//   Pair pair = Pair::load("target.gguf", "draft.gguf");
//   Session session(pair.target(), pair.draft(), {.seed = 7}, pair.parts());
//
// Threads: one at a time. Lifetime: of sessions and batches on it.
class Pair {
 public:
  // A draft of another vocabulary is translated (translated_model.h); a head is not.
  // Throws: Error{file_not_found, invalid_model, vocabulary_mismatch, out_of_memory,
  // invalid_option, peer_lost}.
  [[nodiscard]] static Pair load(const PairOptions& options);
  [[nodiscard]] static Pair load(const std::string& target, const std::string& draft = {});
  Pair(Pair&&) noexcept;
  Pair& operator=(Pair&&) noexcept;
  // Keeps what was learnt, as keep() does.
  ~Pair();

  [[nodiscard]] LlamaModel& target() const { return *target_; }
  // What drafts for it, in the target's tokens; null: there is none.
  [[nodiscard]] LanguageModel* draft() const {
    return translated_.model ? translated_.model.get() : draft_.get();
  }
  // The same as its file has it, in its own tokens.
  [[nodiscard]] LlamaModel* draft_model() const { return draft_.get(); }
  // How alike the two vocabularies are; none: they share one.
  [[nodiscard]] std::optional<VocabularyLikeness> likeness() const {
    if (!translated_.model) return std::nullopt;
    return translated_.likeness;
  }

  // What passes cost: known from an earlier run on this machine, or measured now, which takes a
  // second or two, and kept if the machine was quiet. Without a draft: what the target's do.
  // Throws: Error{evaluation_failed}.
  [[nodiscard]] std::shared_ptr<CostModel> costs(const CostMeasurement& measurement = {});
  // What planners of this pair learnt; those that are given it add to it.
  [[nodiscard]] const std::shared_ptr<CalibrationStore>& calibrations() const {
    return calibrations_;
  }
  // Both, for a session.
  [[nodiscard]] SessionParts parts() { return {.costs = costs(), .calibrations = calibrations_}; }

  // Leaves what was learnt for later processes.
  void keep() const;

 private:
  Pair();

  std::unique_ptr<LlamaModel> target_;
  std::unique_ptr<LlamaModel> draft_;
  TranslatedDraft translated_;
  std::unique_ptr<CostCache> cache_;
  std::shared_ptr<CostModel> costs_;
  std::shared_ptr<CalibrationStore> calibrations_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_PAIR_H_
