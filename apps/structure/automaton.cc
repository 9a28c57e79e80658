#include "apps/structure/automaton.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "apps/structure/json_node.h"

namespace gumbelspec::structure {
namespace {

using Edge = Automaton::Edge;
using State = Automaton::State;

constexpr std::size_t kMaxSteps = 60'000;     // of an expression
constexpr std::size_t kMaxWork = 30'000'000;  // steps looked at while it becomes an automaton

// An expression as steps: a character, a choice of two ways, or an assertion.
struct Step {
  enum class Kind : std::uint8_t { points, split, begin, end, done };
  Kind kind = Kind::done;
  Points points = {};
  std::uint32_t next = 0;
  std::uint32_t other = 0;
};

class Builder {
 public:
  Automaton build(const Regex& regex, bool is_search) {
    const std::uint32_t done = add({Step::Kind::done});
    std::uint32_t behind = done;
    if (is_search) behind = any_text(done);
    std::uint32_t begin = code(regex, behind);
    if (is_search) begin = any_text(begin);
    return determine(begin);
  }

 private:
  std::uint32_t add(Step step) {
    if (steps_.size() >= kMaxSteps) throw TooLarge();
    steps_.push_back(std::move(step));
    return static_cast<std::uint32_t>(steps_.size() - 1);
  }

  std::uint32_t any_text(std::uint32_t next) {
    const std::uint32_t loop = add({Step::Kind::split, {}, next, next});
    const std::uint32_t any = add({Step::Kind::points, all_points(), loop});
    steps_[loop].other = any;
    return loop;
  }

  // The step that the expression begins with, when `next` comes behind it.
  std::uint32_t code(const Regex& regex, std::uint32_t next) {
    switch (regex.kind) {
      case Regex::Kind::points:
        return add({Step::Kind::points, regex.points, next});
      case Regex::Kind::begin:
        return add({Step::Kind::begin, {}, next});
      case Regex::Kind::end:
        return add({Step::Kind::end, {}, next});
      case Regex::Kind::sequence:
        for (auto part = regex.parts.rbegin(); part != regex.parts.rend(); ++part) {
          next = code(*part, next);
        }
        return next;
      case Regex::Kind::choice: {
        if (regex.parts.empty()) return add({Step::Kind::points, {}, next});  // nothing fits
        std::uint32_t entry = code(regex.parts.back(), next);
        for (std::size_t i = regex.parts.size() - 1; i-- > 0;) {
          const std::uint32_t first = code(regex.parts[i], next);
          entry = add({Step::Kind::split, {}, first, entry});
        }
        return entry;
      }
      case Regex::Kind::repeat:
        return code_repetition(regex, next);
    }
    return next;
  }

  std::uint32_t code_repetition(const Regex& regex, std::uint32_t next) {
    std::uint32_t entry = next;
    if (regex.most == Regex::kNoLimit) {
      entry = add({Step::Kind::split, {}, next, next});
      const std::uint32_t again = code(regex.parts[0], entry);
      steps_[entry].next = again;
    } else {
      for (std::uint64_t i = regex.least; i < regex.most; ++i) {
        const std::uint32_t again = code(regex.parts[0], entry);
        entry = add({Step::Kind::split, {}, again, next});
      }
    }
    for (std::uint64_t i = 0; i < regex.least; ++i) {
      const std::uint32_t size = static_cast<std::uint32_t>(steps_.size());
      entry = code(regex.parts[0], entry);
      if (steps_.size() == size) break;  // repeats the empty text
    }
    return entry;
  }

  // Steps that take a character, from these on. Returns: whether the text may end here.
  bool close(std::vector<std::uint32_t>& at, bool is_begin) {
    ++epoch_;
    seen_.resize(steps_.size(), 0);
    std::vector<std::uint32_t> out;
    std::vector<std::uint32_t> behind_end;
    bool is_text = false;
    const auto follow = [&](std::vector<std::uint32_t> todo, bool is_end) {
      while (!todo.empty()) {
        const std::uint32_t id = todo.back();
        todo.pop_back();
        if (seen_[id] == epoch_) continue;
        seen_[id] = epoch_;
        if (++work_ > kMaxWork) throw TooLarge();
        const Step& step = steps_[id];
        switch (step.kind) {
          case Step::Kind::points:
            if (!is_end) out.push_back(id);
            break;
          case Step::Kind::split:
            todo.push_back(step.next);
            todo.push_back(step.other);
            break;
          case Step::Kind::begin:
            if (is_begin) todo.push_back(step.next);
            break;
          case Step::Kind::end:
            (is_end ? todo : behind_end).push_back(step.next);
            break;
          case Step::Kind::done:
            is_text = true;
        }
      }
    };
    follow(at, false);
    std::sort(out.begin(), out.end());
    if (!is_text && !behind_end.empty()) {
      // What the text's end leads to. Steps that were seen lead to nothing new but ends.
      ++epoch_;
      follow(behind_end, true);
    }
    at = std::move(out);
    return is_text;
  }

  std::uint32_t state_of(std::vector<std::uint32_t> at, bool is_begin) {
    const bool is_text = close(at, is_begin);
    // The beginning stands for itself: only there does ^ hold.
    const auto key = std::make_tuple(is_begin, is_text, at);
    const auto [found, is_new] = ids_.emplace(key, static_cast<std::uint32_t>(states_.size()));
    if (is_new) {
      if (states_.size() >= Automaton::kMaxStates) throw TooLarge();
      states_.push_back({is_text});
      todo_.push_back(std::move(at));
    }
    return found->second;
  }

  Automaton determine(std::uint32_t begin) {
    (void)state_of({begin}, true);
    for (std::size_t state = 0; state < todo_.size(); ++state) {
      const std::vector<std::uint32_t> at = todo_[state];
      // Between two neighbouring limits all characters lead to the same.
      std::set<std::uint32_t> limits;
      for (const std::uint32_t id : at) {
        for (const PointRange& range : steps_[id].points) {
          limits.insert(range.first);
          limits.insert(range.last + 1);
        }
      }
      std::vector<Edge> edges;
      for (auto limit = limits.begin(); limit != limits.end(); ++limit) {
        if (std::next(limit) == limits.end()) break;
        const PointRange part{*limit, *std::next(limit) - 1};
        std::vector<std::uint32_t> to;
        for (const std::uint32_t id : at) {
          if (++work_ > kMaxWork) throw TooLarge();
          const Points& points = steps_[id].points;
          const bool fits = std::any_of(points.begin(), points.end(), [&](const PointRange& range) {
            return range.first <= part.first && part.last <= range.last;
          });
          if (fits) to.push_back(steps_[id].next);
        }
        if (to.empty()) continue;
        const std::uint32_t id = state_of(std::move(to), false);
        if (!edges.empty() && edges.back().to == id && edges.back().points.last + 1 == part.first) {
          edges.back().points.last = part.last;
        } else {
          edges.push_back({part, id});
        }
      }
      states_[state].edges = std::move(edges);
    }
    return Automaton(std::move(states_));
  }

  std::vector<Step> steps_;
  std::vector<std::uint32_t> seen_;
  std::uint32_t epoch_ = 0;
  std::size_t work_ = 0;
  std::map<std::tuple<bool, bool, std::vector<std::uint32_t>>, std::uint32_t> ids_;
  std::vector<std::vector<std::uint32_t>> todo_;
  std::vector<State> states_;
};

}  // namespace

Automaton::Automaton(std::vector<State> states) {
  std::vector<std::vector<std::uint32_t>> sources(states.size());
  std::vector<char> is_useful(states.size(), 0);
  std::vector<std::uint32_t> todo;
  for (std::uint32_t i = 0; i < states.size(); ++i) {
    for (const Edge& edge : states[i].edges) sources[edge.to].push_back(i);
    if (states[i].is_text) todo.push_back(i);
  }
  while (!todo.empty()) {
    const std::uint32_t i = todo.back();
    todo.pop_back();
    if (is_useful[i] != 0) continue;
    is_useful[i] = 1;
    todo.insert(todo.end(), sources[i].begin(), sources[i].end());
  }
  if (states.empty() || is_useful[0] == 0) return;
  std::vector<std::uint32_t> ids(states.size(), 0);
  std::uint32_t n = 0;
  for (std::size_t i = 0; i < states.size(); ++i) {
    if (is_useful[i] != 0) ids[i] = n++;
  }
  for (std::size_t i = 0; i < states.size(); ++i) {
    if (is_useful[i] == 0) continue;
    State state{states[i].is_text};
    for (const Edge& edge : states[i].edges) {
      if (is_useful[edge.to] != 0) state.edges.push_back({edge.points, ids[edge.to]});
    }
    states_.push_back(std::move(state));
  }
}

Automaton Automaton::of(const Regex& regex) { return Builder().build(regex, false); }

Automaton Automaton::that_holds(const std::vector<PatternWay>& pattern) {
  const bool looks = std::any_of(pattern.begin(), pattern.end(),
                                 [](const PatternWay& way) { return !way.looks.empty(); });
  if (!looks) {
    std::vector<Regex> ways;
    for (const PatternWay& way : pattern) ways.push_back(way.regex);
    return Builder().build(any_of(std::move(ways)), true);
  }
  // Of several ways one has to hold: not all of them fail.
  Automaton none = Automaton({}).others();
  for (const PatternWay& way : pattern) {
    Automaton some = Builder().build(way.regex, true);
    for (const LookAhead& look : way.looks) {
      const Automaton ahead =
          Builder().build(in_sequence({{Regex::Kind::begin}, look.regex}), true);
      some = common(some, look.is_negated ? ahead.others() : ahead).smaller();
    }
    if (pattern.size() == 1) return some;
    none = common(none, some.others()).smaller();
  }
  return none.others();
}

Automaton Automaton::of_texts(const std::vector<std::string>& texts) {
  std::vector<Regex> parts;
  for (const std::string& text : texts) {
    Regex part;
    for (const char32_t c : to_points(text)) part.parts.push_back(one_of(c, c));
    parts.push_back(std::move(part));
  }
  return of(any_of(std::move(parts)));
}

Automaton Automaton::of_length(std::uint64_t least, std::uint64_t most) {
  const std::uint64_t n = most == kNoLimit ? least : most;
  if (n >= kMaxStates) throw TooLarge();
  std::vector<State> states(n + 1);
  for (std::uint64_t i = 0; i <= n; ++i) {
    states[i].is_text = i >= least;
    if (i == n && most != kNoLimit) break;
    const auto to = static_cast<std::uint32_t>(std::min(i + 1, n));
    for (const PointRange& range : all_points()) states[i].edges.push_back({range, to});
  }
  return Automaton(std::move(states));
}

// Moore's algorithm: states are told apart by what their edges lead to, until nothing new is found.
Automaton Automaton::smaller() const {
  constexpr int kMaxRounds = 64;  // chains need one per state
  using Signature = std::pair<std::uint32_t, std::vector<std::array<std::uint32_t, 3>>>;
  std::vector<std::uint32_t> classes;
  for (const State& state : states_) classes.push_back(state.is_text ? 1 : 0);
  std::size_t n_classes = 0;
  for (int round = 0;; ++round) {
    if (round == kMaxRounds) return *this;
    std::map<Signature, std::uint32_t> known;
    std::vector<std::uint32_t> next;
    for (std::size_t i = 0; i < states_.size(); ++i) {
      Signature signature{classes[i], {}};
      for (const Edge& edge : states_[i].edges) {
        auto& edges = signature.second;
        const std::uint32_t to = classes[edge.to];
        if (!edges.empty() && edges.back()[2] == to && edges.back()[1] + 1 == edge.points.first) {
          edges.back()[1] = edge.points.last;
        } else {
          edges.push_back({edge.points.first, edge.points.last, to});
        }
      }
      next.push_back(known.emplace(std::move(signature), static_cast<std::uint32_t>(known.size()))
                         .first->second);
    }
    classes = std::move(next);
    if (known.size() == n_classes) break;
    n_classes = known.size();
  }
  // Classes are numbered as they are met, so the first is that of the beginning.
  std::vector<State> states(n_classes);
  for (std::size_t i = 0; i < states_.size(); ++i) {
    State& state = states[classes[i]];
    state.is_text = states_[i].is_text;
    if (!state.edges.empty()) continue;
    for (const Edge& edge : states_[i].edges)
      state.edges.push_back({edge.points, classes[edge.to]});
  }
  return Automaton(std::move(states));
}

Automaton Automaton::others() const {
  std::vector<State> states = states_;
  if (states.empty()) states.emplace_back();
  const auto sink = static_cast<std::uint32_t>(states.size());
  states.emplace_back();
  for (State& state : states) {
    state.is_text = !state.is_text;
    Points points;
    for (const Edge& edge : state.edges) points.push_back(edge.points);
    for (const PointRange& range : other_points(make_points(points))) {
      state.edges.push_back({range, sink});
    }
    std::sort(state.edges.begin(), state.edges.end(),
              [](const Edge& a, const Edge& b) { return a.points.first < b.points.first; });
  }
  return Automaton(std::move(states));
}

Automaton common(const Automaton& a, const Automaton& b) {
  if (a.is_empty() || b.is_empty()) return Automaton({});
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> ids;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  std::vector<State> states;
  const auto state_of = [&](std::uint32_t first, std::uint32_t second) {
    const auto [found, is_new] =
        ids.emplace(std::make_pair(first, second), static_cast<std::uint32_t>(pairs.size()));
    if (is_new) {
      if (pairs.size() >= 4 * Automaton::kMaxStates) throw TooLarge();
      pairs.emplace_back(first, second);
      states.push_back({a.states_[first].is_text && b.states_[second].is_text});
    }
    return found->second;
  };
  (void)state_of(0, 0);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto& left = a.states_[pairs[i].first].edges;
    const auto& right = b.states_[pairs[i].second].edges;
    std::vector<Edge> edges;
    for (std::size_t k = 0, m = 0; k < left.size() && m < right.size();) {
      const PointRange both{std::max(left[k].points.first, right[m].points.first),
                            std::min(left[k].points.last, right[m].points.last)};
      if (both.first <= both.last) edges.push_back({both, state_of(left[k].to, right[m].to)});
      if (left[k].points.last < right[m].points.last) {
        ++k;
      } else {
        ++m;
      }
    }
    states[i].edges = std::move(edges);
  }
  return Automaton(std::move(states));
}

bool Automaton::takes(std::string_view text) const {
  if (states_.empty()) return false;
  std::uint32_t at = 0;
  for (const char32_t c : to_points(text)) {
    const auto& edges = states_[at].edges;
    const auto edge = std::find_if(edges.begin(), edges.end(), [&](const Edge& e) {
      return e.points.first <= c && c <= e.points.last;
    });
    if (edge == edges.end()) return false;
    at = edge->to;
  }
  return states_[at].is_text;
}

}  // namespace gumbelspec::structure
