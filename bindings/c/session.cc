// One text.
#include "gumbelspec/session.h"

#include <optional>
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

std::vector<TokenId> tokens_of(const int* tokens, std::size_t n) {
  std::vector<TokenId> out;
  out.reserve(n);
  for (std::size_t i = 0; i < n; ++i) out.push_back(static_cast<TokenId>(tokens[i]));
  return out;
}

class TextSession {
 public:
  TextSession(std::shared_ptr<LoadedPair> pair, const char* options)
      : pair_(std::move(pair)), request_(read_text_options(*pair_, options)), lease_(*pair_, 1) {
    make_session();
  }

  const gumbelspec_round* start(std::span<const TokenId> prompt) {
    // A matcher goes with one text.
    if (request_.grammar && has_begun_) make_session();
    has_begun_ = true;
    text_.emplace(request_.stop);
    outcome_ = Outcome::cancelled;  // where something is thrown
    view_.clear(outcome_);
    outcome_ = stoppable([&] { return session_->start(prompt); });
    view_.clear(outcome_);
    return view_.get();
  }

  const gumbelspec_round* step() {
    if (outcome_ != Outcome::running) {
      throw Misuse(GUMBELSPEC_WRONG_STATE,
                   has_begun_ ? std::string("the text has ended (") + to_string(outcome_) +
                                    "); begin another one with gumbelspec_session_start()"
                              : "no text has begun; begin one with gumbelspec_session_start()");
    }
    outcome_ = Outcome::cancelled;  // where something is thrown
    view_.clear(outcome_);
    const Outcome outcome = stoppable([&] { return session_->step(); });
    const RoundView::Source source{session_->last_tokens(), session_->last_logprobs(),
                                   session_->last_top_logprobs(), session_->last_tree(),
                                   session_->last_walk()};
    // A round that was stopped appended nothing, and has no tree of its own.
    if (outcome == Outcome::cancelled && source.tokens.empty()) {
      view_.clear(outcome);
    } else if (!view_.set(source, outcome, pair_->pair.target(), *text_)) {
      outcome_ = Outcome::stop;
      view_.finish(*text_);
      return view_.get();
    }
    outcome_ = outcome;
    if (outcome_ != Outcome::running) view_.finish(*text_);
    return view_.get();
  }

  const std::string& report() {
    report_ = report_of(session_->options(), outcome_, session_->statistics());
    return report_;
  }

  void cancel() { is_cancelled_.store(true); }

 private:
  void make_session() {
    session_.reset();  // gives its sequence back
    SessionParts parts;
    if (request_.options.method.is_planned()) parts = pair_->pair.parts();
    parts.is_cancelled = [this] { return is_cancelled_.load(); };
    session_ = std::make_unique<Session>(pair_->pair.target(), pair_->pair.draft(),
                                         request_.fresh(), std::move(parts));
  }

  // A call that cancel() ends, and which uses it up.
  template <class Call>
  Outcome stoppable(Call&& call) {
    const StoppablePasses passes(*pair_, is_cancelled_);
    struct UsedUp {
      Flag& flag;
      ~UsedUp() { flag.store(false); }
    } const used_up{is_cancelled_};
    return call();
  }

  std::shared_ptr<LoadedPair> pair_;
  TextRequest request_;
  SequenceLease lease_;
  Flag is_cancelled_ = false;
  std::unique_ptr<Session> session_;
  std::optional<server::TextStream> text_;
  RoundView view_;
  bool has_begun_ = false;
  Outcome outcome_ = Outcome::cancelled;
  std::string report_;
};

}  // namespace
}  // namespace gumbelspec::c

struct gumbelspec_session {
  gumbelspec::c::TextSession text;
};

gumbelspec_status gumbelspec_session_new(gumbelspec_pair* pair, const char* options,
                                         gumbelspec_session** out) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(pair, "pair");
    gumbelspec::c::require_pointer(out, "out");
    *out = new gumbelspec_session{{pair->loaded, options}};
  });
}

void gumbelspec_session_free(gumbelspec_session* session) { delete session; }

gumbelspec_status gumbelspec_session_start(gumbelspec_session* session, const int* prompt, size_t n,
                                           const gumbelspec_round** round) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(session, "session");
    if (n > 0) gumbelspec::c::require_pointer(prompt, "prompt");
    const auto* const result = session->text.start(gumbelspec::c::tokens_of(prompt, n));
    if (round != nullptr) *round = result;
  });
}

gumbelspec_status gumbelspec_session_step(gumbelspec_session* session,
                                          const gumbelspec_round** round) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(session, "session");
    gumbelspec::c::require_pointer(round, "round");
    *round = session->text.step();
  });
}

void gumbelspec_session_cancel(gumbelspec_session* session) {
  if (session != nullptr) session->text.cancel();
}

gumbelspec_status gumbelspec_session_report(gumbelspec_session* session, const char** out) {
  return gumbelspec::c::guarded([&] {
    gumbelspec::c::require_pointer(session, "session");
    gumbelspec::c::require_pointer(out, "out");
    *out = session->text.report().c_str();
  });
}
