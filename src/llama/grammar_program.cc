#include "src/llama/grammar_program.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "gumbelspec/error.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

using Kind = GrammarStep::Kind;

std::uint64_t times(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t kMany = GbnfNode::kNoLimit;
  return a != 0 && b > kMany / a ? kMany : a * b;
}
std::uint64_t plus(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t kMany = GbnfNode::kNoLimit;
  return b > kMany - a ? kMany : a + b;
}

// "(x{0,40}){0,40}" can be read in many ways, x{0,1600} in one. Groups of one part are the part.
GbnfNode simplified(GbnfNode node) {
  for (GbnfNode& part : node.parts) part = simplified(std::move(part));
  const bool is_list = node.kind == GbnfNode::Kind::sequence || node.kind == GbnfNode::Kind::choice;
  if (is_list && node.parts.size() == 1) return GbnfNode(std::move(node.parts.front()));
  if (node.kind != GbnfNode::Kind::repeat || node.parts[0].kind != GbnfNode::Kind::repeat) {
    return node;
  }
  GbnfNode& inner = node.parts[0];
  if (inner.least > 1 || inner.most == 0 || node.most == 0) return node;
  GbnfNode joined{GbnfNode::Kind::repeat};
  joined.least = inner.least == 0 ? 0 : node.least;
  joined.most = times(inner.most, node.most);
  joined.parts.push_back(std::move(inner.parts[0]));
  return joined;
}

// Steps that a node takes, at most.
std::uint64_t n_steps(const GbnfNode& node) {
  if (node.kind == GbnfNode::Kind::text) return node.text.size();
  if (node.kind == GbnfNode::Kind::repeat) {
    const std::uint64_t n_copies =
        node.most == GbnfNode::kNoLimit ? plus(node.least, 1) : node.most;
    return times(n_copies, plus(n_steps(node.parts[0]), 1));
  }
  std::uint64_t n = 1;
  for (const GbnfNode& part : node.parts) n = plus(n, plus(n_steps(part), 1));
  return n;
}

bool is_empty_possible(const GbnfNode& node, const std::vector<char>& rules) {
  const auto possible = [&](const GbnfNode& part) { return is_empty_possible(part, rules); };
  switch (node.kind) {
    case GbnfNode::Kind::text:
      return node.text.empty();
    case GbnfNode::Kind::chars:
    case GbnfNode::Kind::token:
      return false;
    case GbnfNode::Kind::call:
      return rules[node.id] != 0;
    case GbnfNode::Kind::sequence:
      return std::all_of(node.parts.begin(), node.parts.end(), possible);
    case GbnfNode::Kind::choice:
      return std::any_of(node.parts.begin(), node.parts.end(), possible);
    case GbnfNode::Kind::repeat:
      return node.least == 0 || possible(node.parts[0]);
  }
  return false;
}

class Compiler {
 public:
  explicit Compiler(const Gbnf& gbnf) : gbnf_(gbnf) {}

  GrammarProgram compile() {
    std::vector<GbnfNode> bodies;
    std::uint64_t n = 2;
    for (const GbnfRule& rule : gbnf_.rules) {
      bodies.push_back(simplified(rule.body));
      n = plus(n, plus(n_steps(bodies.back()), 1));
      if (n > kMaxGrammarSteps) fail_size(rule);
    }
    out_.steps.reserve(n);
    find_empty(bodies);
    out_.accept = add(Kind::accept, 0, 0);
    std::vector<std::uint32_t> entries;
    entries.reserve(bodies.size());
    for (const GbnfNode& body : bodies) entries.push_back(code(body, add(Kind::end, 0, 0)));
    for (const std::uint32_t entry : entries) out_.begins.push_back(begin_of(entry));
    out_.root = static_cast<std::uint32_t>(gbnf_.root);
    rank_rules();
    class_bytes();
    return std::move(out_);
  }

 private:
  [[noreturn]] static void fail_size(const GbnfRule& rule) {
    throw Error(ErrorCode::invalid_option,
                "grammar is too large: with the rule " + printable(rule.name.substr(0, 40)) +
                    " it has more than " + std::to_string(kMaxGrammarSteps) +
                    " steps, where repetitions count as often as they may be repeated; use "
                    "smaller limits or fewer alternatives",
                "grammar");
  }

  std::uint32_t add(Kind kind, std::uint32_t a, std::uint32_t next) {
    out_.steps.push_back({kind, a, next});
    return static_cast<std::uint32_t>(out_.steps.size() - 1);
  }

  std::uint32_t set_id(const CodePointSet& set) {
    std::vector<std::uint32_t> key;
    for (const CodePointRange& range : set) {
      key.push_back(range.first);
      key.push_back(range.last);
    }
    const auto [found, is_new] =
        set_ids_.emplace(std::move(key), static_cast<std::uint32_t>(out_.sets.size()));
    if (is_new) out_.sets.emplace_back(set);
    return found->second;
  }

  // The step that a node begins with, when `next` comes behind it.
  std::uint32_t code(const GbnfNode& node, std::uint32_t next) {
    switch (node.kind) {
      case GbnfNode::Kind::text:
        for (auto c = node.text.rbegin(); c != node.text.rend(); ++c) {
          const auto point = static_cast<std::uint32_t>(*c);
          next = add(Kind::chars, set_id(code_point_set({{point, point}}, false)), next);
        }
        return next;
      case GbnfNode::Kind::chars:
        return add(Kind::chars, set_id(node.set), next);
      case GbnfNode::Kind::token:
        return add(node.is_negated ? Kind::not_token : Kind::token, node.id, next);
      case GbnfNode::Kind::call:
        return add(Kind::call, node.id, next);
      case GbnfNode::Kind::sequence:
        for (auto part = node.parts.rbegin(); part != node.parts.rend(); ++part) {
          next = code(*part, next);
        }
        return next;
      case GbnfNode::Kind::choice: {
        std::uint32_t entry = code(node.parts.back(), next);
        for (std::size_t i = node.parts.size() - 1; i-- > 0;) {
          entry = add(Kind::split, entry, code(node.parts[i], next));
        }
        return entry;
      }
      case GbnfNode::Kind::repeat:
        return code_repetition(node, next);
    }
    return next;
  }

  std::uint32_t code_repetition(const GbnfNode& node, std::uint32_t next) {
    const GbnfNode& part = node.parts[0];
    std::uint32_t entry = next;
    if (node.most == GbnfNode::kNoLimit) {
      entry = add(Kind::split, next, next);
      const std::uint32_t again = code(part, entry);
      out_.steps[entry].next = again;
    } else {
      for (std::uint64_t i = node.least; i < node.most; ++i) {
        entry = add(Kind::split, next, code(part, entry));
      }
    }
    for (std::uint64_t i = 0; i < node.least; ++i) entry = code(part, entry);
    return entry;
  }

  void find_empty(const std::vector<GbnfNode>& bodies) {
    out_.may_be_empty.assign(bodies.size(), 0);
    for (bool changes = true; changes;) {
      changes = false;
      for (std::size_t i = 0; i < bodies.size(); ++i) {
        if (out_.may_be_empty[i] != 0 || !is_empty_possible(bodies[i], out_.may_be_empty)) continue;
        out_.may_be_empty[i] = 1;
        changes = true;
      }
    }
  }

  RuleBegin begin_of(std::uint32_t entry) {
    RuleBegin begin;
    seen_.resize(out_.steps.size(), 0);
    std::vector<std::uint32_t> todo = {entry};
    std::vector<std::uint32_t> marked;
    while (!todo.empty()) {
      const std::uint32_t id = todo.back();
      todo.pop_back();
      if (seen_[id] != 0) continue;
      seen_[id] = 1;
      marked.push_back(id);
      const GrammarStep& step = out_.steps[id];
      if (step.kind == Kind::split) {
        todo.push_back(step.next);
        todo.push_back(step.a);
      } else if (step.kind == Kind::call) {
        const bool is_last = out_.steps[step.next].kind == Kind::end;
        begin.calls.push_back({step.a, step.next, is_last});
        if (out_.may_be_empty[step.a] != 0) todo.push_back(step.next);
      } else if (step.kind != Kind::end) {
        begin.terminals.push_back(id);
      }
    }
    for (const std::uint32_t id : marked) seen_[id] = 0;
    return begin;
  }

  // Tarjan's algorithm, with a stack of its own: chains of rules may be long. Components come out
  // callees first.
  void rank_rules() {
    const auto n = static_cast<std::uint32_t>(out_.begins.size());
    std::vector<std::uint32_t> index(n, 0);
    std::vector<std::uint32_t> low(n, 0);
    std::vector<char> is_open(n, 0);
    std::vector<std::uint32_t> open;
    std::vector<std::pair<std::uint32_t, std::size_t>> calls;
    std::uint32_t n_seen = 0;
    std::uint32_t n_components = 0;
    out_.rank.assign(n, 0);
    out_.begins_with_peer.assign(n, 0);
    const auto enter = [&](std::uint32_t rule) {
      index[rule] = low[rule] = ++n_seen;
      open.push_back(rule);
      is_open[rule] = 1;
      calls.emplace_back(rule, 0);
    };
    for (std::uint32_t begin = 0; begin < n; ++begin) {
      if (index[begin] == 0) enter(begin);
      while (!calls.empty()) {
        const std::uint32_t rule = calls.back().first;
        if (calls.back().second < out_.begins[rule].calls.size()) {
          const std::uint32_t callee = out_.begins[rule].calls[calls.back().second++].rule;
          if (index[callee] == 0) {
            enter(callee);
          } else if (is_open[callee] != 0) {
            low[rule] = std::min(low[rule], index[callee]);
          }
          continue;
        }
        calls.pop_back();
        if (!calls.empty()) low[calls.back().first] = std::min(low[calls.back().first], low[rule]);
        if (low[rule] != index[rule]) continue;
        std::uint32_t member = 0;
        do {
          member = open.back();
          open.pop_back();
          is_open[member] = 0;
          out_.rank[member] = n_components;
        } while (member != rule);
        ++n_components;
      }
    }
    for (std::uint32_t& rank : out_.rank) rank = n_components - 1 - rank;
    refuse_left_recursion();
  }

  // A rule that begins with itself, maybe behind others that may be empty, would have to remember
  // its own place in it; unless the call is the last thing.
  void refuse_left_recursion() {
    for (std::size_t i = 0; i < out_.begins.size(); ++i) {
      for (const RuleBegin::Call& call : out_.begins[i].calls) {
        if (out_.rank[call.rule] != out_.rank[i]) continue;
        if (!call.is_last) {
          fail_grammar(gbnf_.rules[i].line,
                       "the rule " + printable(gbnf_.rules[i].name) +
                           " begins with itself, or with one that does (left recursion); put "
                           "something in front");
        }
        out_.begins_with_peer[i] = 1;
        out_.begins_with_peer[call.rule] = 1;
      }
    }
  }

  void class_bytes() {
    std::array<bool, 257> begins{};
    begins[0] = true;
    for (const ByteAutomaton& set : out_.sets) {
      for (const auto& edges : set.states()) {
        for (const ByteAutomaton::Edge& edge : edges) {
          begins[edge.first] = true;
          begins[edge.last + 1U] = true;
        }
      }
    }
    for (std::size_t byte = 0; byte < 256; ++byte) {
      if (begins[byte]) out_.byte_of_class.push_back(static_cast<std::uint8_t>(byte));
      out_.byte_class[byte] = static_cast<std::uint8_t>(out_.byte_of_class.size() - 1);
    }
  }

  const Gbnf& gbnf_;
  GrammarProgram out_;
  std::map<std::vector<std::uint32_t>, std::uint32_t> set_ids_;
  std::vector<char> seen_;
};

}  // namespace

GrammarProgram make_program(const Gbnf& gbnf) { return Compiler(gbnf).compile(); }

}  // namespace gumbelspec::internal
