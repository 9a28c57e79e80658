// Many texts at once: what sinks are told becomes a list of events.
#include "gumbelspec/batch.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/c/include/gumbelspec_c.h"
#include "bindings/c/loaded_pair.h"
#include "bindings/c/options.h"
#include "bindings/c/round_view.h"
#include "bindings/c/status.h"

namespace gumbelspec::c {
namespace {

struct Event {
  gumbelspec_event shown = {};
  RoundView round = {};
  std::string error = {};
  std::string report = {};
};
using Events = std::vector<std::unique_ptr<Event>>;

BatchOptions options_with_costs(LoadedPair& pair, const char* text) {
  BatchOptions options = read_batch_options(text);
  options.costs = pair.pair.costs();
  options.calibrations = pair.pair.calibrations();
  return options;
}

class EventSink final : public TextSink {
 public:
  EventSink(const LoadedPair& pair, TextRequest request, Events& events)
      : target_(pair.pair.target()),
        request_(std::move(request)),
        text_(request_.stop),
        events_(events) {}

  // Batch::add() has it before it has an id.
  void set_id(std::size_t id) { id_ = id; }

  bool on_round(const BatchRound& round) override {
    return add().round.set(
        {round.tokens, round.logprobs, round.top_logprobs, round.tree, round.walk},
        Outcome::running, target_, text_);
  }

  void on_end(Outcome outcome, const Statistics& statistics, const Error* error) override {
    Event& event = add();
    event.round.clear(outcome);
    event.round.finish(text_);
    event.report = report_of(request_.options, outcome, statistics);
    event.shown.report = event.report.c_str();
    if (error == nullptr) return;
    event.error = error->what();
    event.shown.error = event.error.c_str();
    event.shown.status = status_of(*error);
  }

 private:
  Event& add() {
    Event& event = *events_.emplace_back(std::make_unique<Event>());
    event.shown = {id_, event.round.get(), GUMBELSPEC_OK, "", ""};
    return event;
  }

  const LlamaModel& target_;
  TextRequest request_;
  server::TextStream text_;
  Events& events_;
  std::size_t id_ = 0;
};

class TextBatch {
 public:
  TextBatch(std::shared_ptr<LoadedPair> pair, const char* options)
      : pair_(std::move(pair)),
        lease_(*pair_, pair_->pair.target().limits().n_sequences),
        batch_(pair_->pair.target(), pair_->pair.draft(), options_with_costs(*pair_, options)) {}

  std::size_t add(std::span<const TokenId> prompt, const char* options) {
    TextRequest request = read_text_options(*pair_, options);
    const TextOptions text = request.fresh();
    auto sink = std::make_unique<EventSink>(*pair_, std::move(request), coming_);
    EventSink* const kept = sink.get();
    const auto id = static_cast<std::size_t>(batch_.add(prompt, text, std::move(sink)));
    kept->set_id(id);
    return id;
  }

  void cancel(std::size_t id) { batch_.cancel(static_cast<TextId>(id)); }

  bool step() {
    // What cancel() has told since the last step is part of this one.
    const bool goes_on = batch_.step();
    events_ = std::exchange(coming_, {});
    return goes_on;
  }

  [[nodiscard]] const Events& events() const { return events_; }

 private:
  std::shared_ptr<LoadedPair> pair_;
  SequenceLease lease_;
  Events coming_;  // before the batch: its sinks write here
  Events events_;
  Batch batch_;
};

}  // namespace
}  // namespace gumbelspec::c

struct gumbelspec_batch {
  gumbelspec::c::TextBatch texts;
};

gumbelspec_status gumbelspec_batch_new(gumbelspec_pair* pair, const char* options,
                                       gumbelspec_batch** out) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(pair, "pair");
    gumbelspec::c::require_pointer(out, "out");
    *out = new gumbelspec_batch{{pair->loaded, options}};
  });
}

void gumbelspec_batch_free(gumbelspec_batch* batch) { delete batch; }

gumbelspec_status gumbelspec_batch_add(gumbelspec_batch* batch, const int* prompt, size_t n,
                                       const char* options, size_t* id) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(batch, "batch");
    if (n > 0) gumbelspec::c::require_pointer(prompt, "prompt");
    gumbelspec::c::require_pointer(id, "id");
    std::vector<gumbelspec::TokenId> tokens(n);
    for (size_t i = 0; i < n; ++i) tokens[i] = static_cast<gumbelspec::TokenId>(prompt[i]);
    *id = batch->texts.add(tokens, options);
  });
}

gumbelspec_status gumbelspec_batch_cancel(gumbelspec_batch* batch, size_t id) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(batch, "batch");
    batch->texts.cancel(id);
  });
}

gumbelspec_status gumbelspec_batch_step(gumbelspec_batch* batch, size_t* n_events, int* goes_on) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(batch, "batch");
    gumbelspec::c::require_pointer(n_events, "n_events");
    gumbelspec::c::require_pointer(goes_on, "goes_on");
    *goes_on = batch->texts.step() ? 1 : 0;
    *n_events = batch->texts.events().size();
  });
}

gumbelspec_status gumbelspec_batch_event(const gumbelspec_batch* batch, size_t i,
                                         const gumbelspec_event** out) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(batch, "batch");
    gumbelspec::c::require_pointer(out, "out");
    const auto& events = batch->texts.events();
    if (i >= events.size()) {
      throw gumbelspec::c::Misuse(GUMBELSPEC_INVALID_ARGUMENT, "event " + std::to_string(i) +
                                                                   " is asked for, but there are " +
                                                                   std::to_string(events.size()));
    }
    *out = &events[i]->shown;
  });
}
