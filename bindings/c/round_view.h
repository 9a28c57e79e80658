// A round as the C API shows it.
#ifndef GUMBELSPEC_BINDINGS_C_ROUND_VIEW_H_
#define GUMBELSPEC_BINDINGS_C_ROUND_VIEW_H_

#include <span>
#include <string>
#include <vector>

#include "apps/server/api/text_stream.h"
#include "bindings/c/include/gumbelspec_c.h"
#include "gumbelspec/draft_tree.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/text_options.h"
#include "gumbelspec/walk.h"

namespace gumbelspec::c {

[[nodiscard]] gumbelspec_outcome outcome_of(Outcome outcome);

// Of one text: its rounds, one after the other. What is shown is in memory of its own.
class RoundView {
 public:
  // What a round did, from a session or a batch. Shape: as BatchRound has them.
  struct Source {
    std::span<const GeneratedToken> tokens;
    std::span<const TokenLogprob> logprobs;
    std::span<const TokenLogprob> top_logprobs;
    const DraftTree& tree;
    const WalkResult& walk;
  };

  RoundView() = default;
  RoundView(const RoundView&) = delete;
  RoundView& operator=(const RoundView&) = delete;

  // Nothing has been appended.
  void clear(Outcome outcome);
  // Takes the tokens up to the one that completes a stop text.
  // Returns: false if there is one; the outcome is then GUMBELSPEC_STOP.
  bool set(const Source& source, Outcome outcome, const LlamaModel& target,
           server::TextStream& text);
  // The text is over: what was held back of it is given out.
  void finish(server::TextStream& text);

  [[nodiscard]] const gumbelspec_round* get() const { return &round_; }

 private:
  void set_tree(const DraftTree& tree, const WalkResult& walk);
  void show();

  gumbelspec_round round_ = {};
  std::vector<gumbelspec_token> tokens_;
  std::vector<gumbelspec_logprob> logprobs_;
  std::vector<gumbelspec_logprob> top_logprobs_;
  std::vector<gumbelspec_node> nodes_;
  std::string text_;
};

}  // namespace gumbelspec::c

#endif  // GUMBELSPEC_BINDINGS_C_ROUND_VIEW_H_
