// A pair of in-memory models with counted time, for the tests of planners.
#ifndef GUMBELSPEC_TESTING_TIMED_PAIR_H_
#define GUMBELSPEC_TESTING_TIMED_PAIR_H_

#include <memory>
#include <utility>

#include "testing/table_model.h"
#include "testing/timed_model.h"

namespace gumbelspec::testing {

struct TimedPair {
  TableModel target;
  TableModel draft;
  std::shared_ptr<CostModel> costs;
  TimedModel timed_target;
  TimedModel timed_draft;

  // share: how much of the draft is the target's, [0, 1]. model: what passes take.
  TimedPair(float share, CostModel model)
      : target({.n_vocab = 40, .seed = 3, .spread = 6.0F, .n_context = 9000}),
        draft(TableModel::draft_of(target, share, 11)),
        costs(std::make_shared<CostModel>(std::move(model))),
        timed_target(target, costs->target),
        timed_draft(draft, costs->draft) {}

  [[nodiscard]] double seconds() const { return timed_target.seconds() + timed_draft.seconds(); }
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_TIMED_PAIR_H_
