// A model around another one, for tests that watch or spoil what goes through.
#ifndef GUMBELSPEC_TESTING_WRAPPED_MODEL_H_
#define GUMBELSPEC_TESTING_WRAPPED_MODEL_H_

#include <span>

#include "gumbelspec/language_model.h"

namespace gumbelspec::testing {

class WrappedModel : public LanguageModel {
 public:
  // Lifetime: model outlives it.
  explicit WrappedModel(LanguageModel& model) : model_(model) {}

  [[nodiscard]] const ModelLimits& limits() const override { return model_.limits(); }
  [[nodiscard]] bool is_end(TokenId token) const override { return model_.is_end(token); }
  SeqId open() override { return model_.open(); }
  void close(SeqId seq) override { model_.close(seq); }
  [[nodiscard]] std::size_t n_committed(SeqId seq) const override {
    return model_.n_committed(seq);
  }
  [[nodiscard]] PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override {
    return model_.extend(seq, tokens);
  }
  [[nodiscard]] PassOutcome evaluate(std::span<const PassNode> nodes) override {
    return model_.evaluate(nodes);
  }
  [[nodiscard]] std::span<const float> row(std::size_t i) const override { return model_.row(i); }
  void commit(SeqId seq, std::span<const PendingId> path) override { model_.commit(seq, path); }
  void truncate(SeqId seq, std::size_t n) override { model_.truncate(seq, n); }
  [[nodiscard]] std::size_t n_restorable(SeqId seq, std::size_t n) const override {
    return model_.n_restorable(seq, n);
  }
  void remember(SeqId seq) override { model_.remember(seq); }
  [[nodiscard]] std::size_t n_extra() const override { return model_.n_extra(); }

 protected:
  LanguageModel& model_;
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_WRAPPED_MODEL_H_
