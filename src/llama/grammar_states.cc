#include "src/llama/grammar_states.h"

#include <algorithm>
#include <tuple>

#include "gumbelspec/error.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

using Kind = GrammarStep::Kind;

std::uint64_t mixed(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15U;
  return hash ^ (hash >> 29U);
}

bool same(const GrammarReading& a, const GrammarReading& b) {
  return a.step == b.step && a.in_character == b.in_character && a.frame == b.frame;
}
bool same(const GrammarFrame::Return& a, const GrammarFrame::Return& b) {
  return a.step == b.step && a.frame == b.frame;
}

// Sorts by what the frames are, not where they are.
template <class List>
void make_set(List& list) {
  const auto key = [](const auto& item) {
    std::uint64_t in_character = 0;
    if constexpr (requires { item.in_character; }) in_character = item.in_character;
    return std::make_tuple(item.step, in_character, item.frame == nullptr ? 0 : item.frame->id);
  };
  std::sort(list.begin(), list.end(),
            [&](const auto& a, const auto& b) { return key(a) < key(b); });
  list.erase(std::unique(list.begin(), list.end(),
                         [](const auto& a, const auto& b) { return same(a, b); }),
             list.end());
}

template <class List>
bool same_lists(const List& a, const List& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(),
                    [](const auto& x, const auto& y) { return same(x, y); });
}

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

void GrammarStates::refuse_begin(const char* what, std::string_view text) {
  throw Error(ErrorCode::invalid_option,
              std::string("grammar cannot begin with ") + what + " " +
                  printable(text.substr(0, 40)) + "; its texts have to begin with it",
              "grammar");
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
    n_bytes_ += from.next_.size() * sizeof(GrammarPlace*);
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

const GrammarFrame* GrammarStates::frame_of(std::vector<GrammarFrame::Return> returns) {
  make_set(returns);
  std::uint64_t hash = returns.size();
  for (const auto& to : returns) {
    hash = mixed(mixed(hash, to.step), to.frame == nullptr ? 0 : to.frame->id);
  }
  const auto [first, last] = frame_by_hash_.equal_range(hash);
  for (auto known = first; known != last; ++known) {
    if (same_lists(known->second->returns, returns)) return known->second;
  }
  auto frame = std::make_unique<GrammarFrame>();
  frame->returns = std::move(returns);
  frame->id = ++n_ids_;
  n_bytes_ += 96 + frame->returns.size() * sizeof(GrammarFrame::Return);
  frame_by_hash_.emplace(hash, frame.get());
  frames_.push_back(std::move(frame));
  return frames_.back().get();
}

GrammarPlace* GrammarStates::place_of(std::vector<GrammarReading> readings, bool may_end,
                                      std::uint32_t waiting) {
  std::uint64_t hash = mixed(waiting, may_end ? 1 : 2);
  for (const auto& reading : readings) {
    hash = mixed(mixed(mixed(hash, reading.step), reading.in_character), reading.frame->id);
  }
  const auto [first, last] = place_by_hash_.equal_range(hash);
  for (auto known = first; known != last; ++known) {
    const GrammarPlace& place = *known->second;
    if (place.may_end == may_end && place.waiting == waiting &&
        same_lists(place.readings, readings)) {
      return known->second;
    }
  }
  auto place = std::make_shared<GrammarPlace>();
  place->readings = std::move(readings);
  place->readings.shrink_to_fit();
  place->may_end = may_end;
  place->waiting = waiting;
  place->id = ++n_ids_;
  place->has_tokens = std::any_of(place->readings.begin(), place->readings.end(),
                                  [&](const GrammarReading& reading) {
                                    const Kind kind = program_.steps[reading.step].kind;
                                    return kind == Kind::token || kind == Kind::not_token;
                                  });
  n_bytes_ += 192 + place->readings.size() * sizeof(GrammarReading);
  place_by_hash_.emplace(hash, place.get());
  places_.push_back(place);
  return place.get();
}

PlacePtr GrammarStates::hold(const GrammarPlace* place) {
  return place == nullptr ? nullptr
                          : std::const_pointer_cast<GrammarPlace>(place->shared_from_this());
}

void GrammarStates::begin_work() {
  work_ = 0;
  // What an error left.
  todo_.clear();
  for (auto& callers : callers_) callers.clear();
  for (auto& rules : called_) rules.clear();
  ranks_.clear();
  if (n_bytes_ <= drop_at_) return;
  drop_unused();
  // What texts hold stays, so not at every token again.
  drop_at_ = n_bytes_ + limits_.max_bytes;
  if (n_bytes_ <= limits_.max_held) return;
  throw Error(ErrorCode::invalid_option,
              "grammar can be read in too many ways here: its texts hold " +
                  std::to_string(n_bytes_ >> 20U) + " MiB, at most " +
                  std::to_string(limits_.max_held >> 20U) +
                  " are allowed; write it so that fewer of its parts fit the same text",
              "grammar");
}

// All places but those that somebody holds, and the frames that these need.
void GrammarStates::drop_unused() {
  std::vector<PlacePtr> kept;
  for (PlacePtr& place : places_) {
    if (place.use_count() > 1) kept.push_back(std::move(place));
  }
  places_.clear();
  place_by_hash_.clear();
  frame_by_hash_.clear();
  n_bytes_ = 0;
  for (const PlacePtr& place : kept) {
    place->next_.clear();
    place->next_.shrink_to_fit();
    for (const auto& reading : place->readings) reading.frame->is_kept = true;
  }
  // A frame returns to older ones only.
  for (std::size_t i = frames_.size(); i-- > 0;) {
    if (!frames_[i]->is_kept) continue;
    for (const auto& to : frames_[i]->returns) {
      if (to.frame != nullptr) to.frame->is_kept = true;
    }
  }
  std::vector<std::unique_ptr<GrammarFrame>> frames;
  for (auto& frame : frames_) {
    if (!frame->is_kept) continue;
    frame->is_kept = false;
    std::uint64_t hash = frame->returns.size();
    for (const auto& to : frame->returns) {
      hash = mixed(mixed(hash, to.step), to.frame == nullptr ? 0 : to.frame->id);
    }
    n_bytes_ += 96 + frame->returns.size() * sizeof(GrammarFrame::Return);
    frame_by_hash_.emplace(hash, frame.get());
    frames.push_back(std::move(frame));
  }
  frames_ = std::move(frames);
  for (const PlacePtr& place : kept) {
    std::uint64_t hash = mixed(place->waiting, place->may_end ? 1 : 2);
    for (const auto& reading : place->readings) {
      hash = mixed(mixed(mixed(hash, reading.step), reading.in_character), reading.frame->id);
    }
    n_bytes_ += 192 + place->readings.size() * sizeof(GrammarReading);
    place_by_hash_.emplace(hash, place.get());
  }
  places_ = std::move(kept);
}

GrammarPlace* GrammarStates::run(GrammarPlace* from, std::string_view bytes) {
  for (const char byte : bytes) {
    if (from == nullptr) return nullptr;
    from = next(*from, static_cast<std::uint8_t>(byte));
  }
  return from;
}

GrammarPlace* GrammarStates::waiting_place(std::uint32_t state) {
  return place_of({}, true, state);
}

void GrammarStates::make_triggers() {
  constexpr std::uint32_t kNone = 0xFFFFFFFF;
  const auto add = [&] {
    trigger_states_.push_back({std::vector<std::uint32_t>(256, kNone)});
    return static_cast<std::uint32_t>(trigger_states_.size() - 1);
  };
  (void)add();
  for (std::size_t word = 0; word < triggers_.words.size(); ++word) {
    std::uint32_t at = 0;
    for (const char c : triggers_.words[word]) {
      const auto byte = static_cast<std::uint8_t>(c);
      if (trigger_states_[at].next[byte] == kNone) {
        const std::uint32_t to = add();
        trigger_states_[at].next[byte] = to;
      }
      at = trigger_states_[at].next[byte];
    }
    if (trigger_states_[at].word == 0) trigger_states_[at].word = word + 1;
    if (at == 0 || run(active_.get(), triggers_.grammar_text(word)) == nullptr) {
      refuse_begin("its trigger", triggers_.grammar_text(word));
    }
  }
  // Breadth first: where a state has no way, the way of its longest proper suffix.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> order = {{0, 0}};  // state, suffix
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto [state, suffix] = order[i];
    Trigger& trigger = trigger_states_[state];
    if (trigger.word == 0) trigger.word = trigger_states_[suffix].word;
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t beside = state == 0 ? 0 : trigger_states_[suffix].next[byte];
      if (trigger.next[byte] == kNone) {
        trigger.next[byte] = beside;
      } else {
        order.emplace_back(trigger.next[byte], beside);
      }
    }
  }
  begin_ = hold(waiting_place(trigger_states_[0].next[0]));
}

}  // namespace gumbelspec::internal
