#include "src/llama/grammar_states.h"

#include <algorithm>
#include <functional>

#include "gumbelspec/error.h"
#include "src/llama/grammar_sets.h"

namespace gumbelspec::internal {
namespace {

using Kind = GrammarStep::Kind;

}  // namespace

std::size_t GrammarStates::Hash::operator()(const Position& position) const {
  return static_cast<std::size_t>(mixed(position.second->id, position.first));
}

GrammarStates::GrammarStates(GrammarProgram program, GrammarTriggers triggers,
                             const GrammarLimits& limits)
    : program_(std::move(program)),
      triggers_(std::move(triggers)),
      limits_(limits),
      drop_at_(limits.max_bytes) {
  const std::size_t n_rules = program_.begins.size();
  callers_.resize(n_rules);
  called_.resize(n_rules);
  peers_.resize(n_rules);
  for (std::uint32_t rule = 0; rule < n_rules; ++rule) {
    if (program_.begins_with_peer[rule] != 0) peers_[program_.rank[rule]].push_back(rule);
  }
  const GrammarFrame* bottom = frame_of({{program_.accept, nullptr}});
  call(program_.root, program_.accept, false, bottom);
  callers_[program_.root] = bottom->returns;
  active_ = hold(close({}, program_.may_be_empty[program_.root] != 0));
  begin_ = active_;
  if (triggers_.any()) {
    make_triggers();
  } else if (!triggers_.begun.empty()) {
    begin_ = hold(run(active_.get(), triggers_.begun));
    if (begin_ == nullptr) refuse_begin("what the prompt ends with", triggers_.begun);
  }
}

void GrammarStates::count_work(std::size_t n) {
  work_ += n;
  if (work_ <= limits_.max_work) return;
  throw Error(ErrorCode::invalid_option,
              "grammar can be read in too many ways here: more than " +
                  std::to_string(limits_.max_work) +
                  " steps for one token; write it so that fewer of its parts fit the same text",
              "grammar");
}

GrammarPlace* GrammarStates::next(GrammarPlace& from, std::uint8_t byte) {
  if (from.waiting != GrammarPlace::kActive) {
    const Trigger& to = trigger_states_[trigger_states_[from.waiting].next[byte]];
    if (to.word != 0) return run(active_.get(), triggers_.grammar_text(to.word - 1));
    return waiting_place(static_cast<std::uint32_t>(&to - trigger_states_.data()));
  }
  const std::uint8_t byte_class = program_.byte_class[byte];
  if (from.next_.empty()) {
    from.next_.assign(program_.byte_of_class.size(), nullptr);
    n_bytes_ += from.next_.size() * sizeof(from.next_[0]);
  }
  GrammarPlace*& known = from.next_[byte_class];
  if (known == nullptr) {
    GrammarPlace* computed = compute(from, program_.byte_of_class[byte_class]);
    from.next_[byte_class] = computed == nullptr ? &nowhere_ : computed;
    return computed;
  }
  return known == &nowhere_ ? nullptr : known;
}

GrammarPlace* GrammarStates::compute(const GrammarPlace& from, std::uint8_t byte) {
  std::vector<GrammarReading> readings;
  todo_.clear();
  seen_.clear();
  for (const GrammarReading& reading : from.readings) {
    const GrammarStep& step = program_.steps[reading.step];
    if (step.kind != Kind::chars) continue;
    const std::uint16_t to =
        program_.sets[step.a].next(static_cast<std::uint16_t>(reading.in_character), byte);
    if (to == ByteAutomaton::kNone) continue;
    if (to == ByteAutomaton::kDone) {
      todo_.emplace_back(step.next, reading.frame);
    } else {
      readings.push_back({reading.step, to, reading.frame});
    }
  }
  count_work(1 + from.readings.size() / 16);
  if (readings.empty() && todo_.empty()) return nullptr;
  return close(std::move(readings), false);
}

GrammarPlace* GrammarStates::next_by_token(GrammarPlace& from, std::uint32_t token,
                                           GrammarPlace* by_bytes, std::string_view bytes) {
  if (from.waiting != GrammarPlace::kActive) {
    const auto& tokens = triggers_.tokens;
    if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) return by_bytes;
    GrammarPlace* at = bytes.empty() ? nullptr : run(active_.get(), bytes);
    return next_by_token(*active_, token, at, bytes);
  }
  if (!from.has_tokens) return by_bytes;
  todo_.clear();
  seen_.clear();
  for (const GrammarReading& reading : from.readings) {
    const GrammarStep& step = program_.steps[reading.step];
    const bool fits = (step.kind == Kind::token && step.a == token) ||
                      (step.kind == Kind::not_token && step.a != token);
    if (fits) todo_.emplace_back(step.next, reading.frame);
  }
  if (todo_.empty()) return by_bytes;
  std::vector<GrammarReading> readings;
  bool may_end = false;
  if (by_bytes != nullptr) {
    readings = by_bytes->readings;
    may_end = by_bytes->may_end;
  }
  return close(std::move(readings), may_end);
}

GrammarPlace* GrammarStates::close(std::vector<GrammarReading> readings, bool may_end) {
  while (!todo_.empty()) {
    const Position position = todo_.back();
    todo_.pop_back();
    visit(position, readings, may_end);
  }
  enter_called_rules(readings);
  count_work(readings.size());
  make_set(readings);
  if (readings.size() > limits_.max_readings) {
    throw Error(ErrorCode::invalid_option,
                "grammar can be read in more than " + std::to_string(limits_.max_readings) +
                    " ways here; write it so that fewer of its parts fit the same text",
                "grammar");
  }
  if (readings.empty() && !may_end) return nullptr;
  return place_of(std::move(readings), may_end);
}

void GrammarStates::visit(const Position& position, std::vector<GrammarReading>& readings,
                          bool& may_end) {
  const auto [id, frame] = position;
  const GrammarStep& step = program_.steps[id];
  if (step.kind == Kind::accept) {
    may_end = true;
    return;
  }
  if (!seen_.emplace(position, '\0').second) return;
  count_work(1);
  switch (step.kind) {
    case Kind::split:
      todo_.emplace_back(step.next, frame);
      todo_.emplace_back(step.a, frame);
      break;
    case Kind::end:
      count_work(frame->returns.size());
      for (const GrammarFrame::Return& to : frame->returns) {
        if (program_.steps[to.step].kind == Kind::accept) {
          may_end = true;
        } else {
          todo_.emplace_back(to.step, to.frame);
        }
      }
      break;
    case Kind::call:
      call(step.a, step.next, program_.steps[step.next].kind == Kind::end, frame);
      if (program_.may_be_empty[step.a] != 0) todo_.emplace_back(step.next, frame);
      break;
    default:
      readings.push_back({id, 0, frame});
  }
}

void GrammarStates::call(std::uint32_t rule, std::uint32_t next, bool is_last,
                         const GrammarFrame* frame) {
  auto& callers = callers_[rule];
  if (callers.empty()) {
    const std::uint32_t rank = program_.rank[rule];
    if (called_[rank].empty()) {
      ranks_.push_back(rank);
      std::push_heap(ranks_.begin(), ranks_.end(), std::greater<>());
    }
    called_[rank].push_back(rule);
  }
  if (is_last) {
    count_work(frame->returns.size());
    callers.insert(callers.end(), frame->returns.begin(), frame->returns.end());
  } else {
    callers.push_back({next, frame});
  }
  // Many callers are the same ones.
  if (callers.size() > 64 && (callers.size() & (callers.size() - 1)) == 0) make_set(callers);
}

// Callers come before the rules that they begin with, so all callers of a rule are known when it is
// entered.
void GrammarStates::enter_called_rules(std::vector<GrammarReading>& readings) {
  while (!ranks_.empty()) {
    std::pop_heap(ranks_.begin(), ranks_.end(), std::greater<>());
    const std::uint32_t rank = ranks_.back();
    ranks_.pop_back();
    if (!peers_[rank].empty()) share_with_peers(rank);
    const std::vector<std::uint32_t> rules = std::move(called_[rank]);
    called_[rank].clear();
    for (const std::uint32_t rule : rules) enter(rule, readings);
  }
}

// Rules that begin with each other call each other as the last thing: what returns to one returns
// to those that it begins with, too.
void GrammarStates::share_with_peers(std::uint32_t rank) {
  for (bool changes = true; changes;) {
    changes = false;
    for (const std::uint32_t rule : peers_[rank]) {
      if (callers_[rule].empty()) continue;
      for (const RuleBegin::Call& to : program_.begins[rule].calls) {
        if (program_.rank[to.rule] != rank || to.rule == rule) continue;
        auto& callers = callers_[to.rule];
        if (callers.empty()) called_[rank].push_back(to.rule);
        make_set(callers);
        const std::size_t n = callers.size();
        callers.insert(callers.end(), callers_[rule].begin(), callers_[rule].end());
        count_work(callers.size());
        make_set(callers);
        changes = changes || callers.size() != n;
      }
    }
  }
}

void GrammarStates::enter(std::uint32_t rule, std::vector<GrammarReading>& readings) {
  const GrammarFrame* frame = frame_of(std::move(callers_[rule]));
  callers_[rule].clear();
  const RuleBegin& begin = program_.begins[rule];
  count_work(begin.terminals.size() + begin.calls.size());
  for (const std::uint32_t step : begin.terminals) readings.push_back({step, 0, frame});
  for (const RuleBegin::Call& to : begin.calls) {
    if (program_.rank[to.rule] == program_.rank[rule]) continue;  // shared already
    call(to.rule, to.next, to.is_last, frame);
  }
}

}  // namespace gumbelspec::internal
