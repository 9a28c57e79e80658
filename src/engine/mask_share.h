// What constraints may take of a batch's time, so that one text's grammar slows no other text by
// much: masks are computed between two passes, where all texts wait for them.
#ifndef GUMBELSPEC_ENGINE_MASK_SHARE_H_
#define GUMBELSPEC_ENGINE_MASK_SHARE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <utility>

#include "gumbelspec/token_constraint.h"
#include "src/engine/stopwatch.h"

namespace gumbelspec {

// Measures what a constraint takes. Lifetime: the clock outlives it.
class TimedConstraint final : public TokenConstraint {
 public:
  TimedConstraint(std::shared_ptr<TokenConstraint> constraint, const Clock& clock)
      : constraint_(std::move(constraint)), clock_(clock) {}

  std::span<const std::uint32_t> allowed(std::span<const TokenId> generated,
                                         std::span<const TokenId> path) override;
  [[nodiscard]] double seconds() const { return seconds_; }  // since it was made
  // Masks of drafted nodes are computed until seconds() is more than this; what is drafted
  // without them is only accepted more seldom.
  void serve_drafts_until(double seconds) { drafts_until_s_ = seconds; }
  [[nodiscard]] bool serves_drafts() const { return seconds_ <= drafts_until_s_; }

 private:
  std::shared_ptr<TokenConstraint> constraint_;
  const Clock& clock_;
  double seconds_ = 0.0;
  double drafts_until_s_ = std::numeric_limits<double>::infinity();
};

// One text's account. A text owes what its masks took, less a share of the time that went by
// otherwise; one that owes too much sits out rounds until it does not any more. When a text has
// which mask changes no text.
class MaskShare {
 public:
  // Of the time of the others: for one text, and for all that owe together.
  static constexpr double kOfText = 0.1;
  static constexpr double kOfAll = 0.3;

  // constraint: null: the text has none, and never owes anything.
  explicit MaskShare(std::shared_ptr<TimedConstraint> constraint = nullptr)
      : constraint_(std::move(constraint)) {}

  // Units: seconds.
  [[nodiscard]] double owed() const { return owed_; }
  // What its masks took since the last end_round() is entered, too.
  [[nodiscard]] double owed_now() const { return owed_ + taken(); }
  [[nodiscard]] double taken() const {
    return constraint_ == nullptr ? 0.0 : constraint_->seconds() - entered_s_;
  }
  // passed_s: time that went by, without what masks took; n_owing: texts that owe something.
  void end_round(double passed_s, std::size_t n_owing);
  // This round's drafts get masks until the text owes more than that.
  void limit_drafts(double most_owed) {
    if (constraint_ == nullptr) return;
    constraint_->serve_drafts_until(constraint_->seconds() + most_owed - owed_now());
  }
  // Nobody waits for it.
  void forgive() {
    owed_ = 0.0;
    if (constraint_ != nullptr) entered_s_ = constraint_->seconds();
  }

 private:
  std::shared_ptr<TimedConstraint> constraint_;
  double entered_s_ = 0.0;
  double owed_ = 0.0;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_MASK_SHARE_H_
