// A model with time that is counted instead of measured.
#ifndef GUMBELSPEC_TESTING_TIMED_MODEL_H_
#define GUMBELSPEC_TESTING_TIMED_MODEL_H_

#include <span>
#include <vector>

#include "gumbelspec/costs.h"
#include "testing/wrapped_model.h"

namespace gumbelspec::testing {

// Passes a model's calls on, and adds up what its passes would take.
class TimedModel final : public WrappedModel {
 public:
  // Lifetime: model and cost outlive it.
  TimedModel(LanguageModel& model, const PassCost& cost) : WrappedModel(model), cost_(cost) {}

  [[nodiscard]] double seconds() const { return seconds_; }
  void restart() { seconds_ = 0.0; }
  // From now on the rows say nothing.
  void set_blind(bool is_blind) { is_blind_ = is_blind; }

  [[nodiscard]] PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override {
    if (!tokens.empty()) seconds_ += cost_.seconds(tokens.size());
    return model_.extend(seq, tokens);
  }
  [[nodiscard]] PassOutcome evaluate(std::span<const PassNode> nodes) override {
    seconds_ += cost_.seconds(nodes.size());
    return model_.evaluate(nodes);
  }
  [[nodiscard]] std::span<const float> row(std::size_t i) const override {
    if (is_blind_) return blind_row_;
    return model_.row(i);
  }

 private:
  const PassCost& cost_;
  double seconds_ = 0.0;
  bool is_blind_ = false;
  std::vector<float> blind_row_ = std::vector<float>(512, 0.0F);
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_TIMED_MODEL_H_
