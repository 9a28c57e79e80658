#include "gumbelspec/method.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "gumbelspec/error.h"

namespace gumbelspec {
namespace {

constexpr int kMaxWidth = 64;
constexpr int kMaxLength = 64;
// With the root 256, the most that one llama.cpp cache can tell apart.
constexpr int kMaxNodes = 255;

// Bits.
using Field = unsigned;
constexpr Field kWidth = 1;
constexpr Field kLength = 2;
constexpr Field kNodes = 4;
constexpr Field kTau = 8;
constexpr Field kKeep = 16;
constexpr Field kMost = 32;
constexpr Field kSources = 64;

struct Option {
  Field field;
  std::string_view key;
};
constexpr std::array<Option, 7> kOptions = {{{kWidth, "width"},
                                             {kLength, "length"},
                                             {kNodes, "nodes"},
                                             {kTau, "tau"},
                                             {kKeep, "keep"},
                                             {kMost, "max"},
                                             {kSources, "sources"}}};

struct Kind {
  std::string_view name;
  unsigned fields;  // the options it has
  int width, length;
};
// In the order of MethodKind.
constexpr std::array<Kind, 8> kKinds = {{
    {"ar", 0, 1, 5},
    {"rejection", kLength, 1, 5},
    {"rejection-tree", kWidth | kLength | kNodes, 4, 5},
    {"greedy-chain", kLength, 1, 5},
    {"gumbel-chain", kLength, 1, 5},
    {"gumbel-beam", kWidth | kLength | kNodes | kTau | kKeep, 4, 5},
    {"gumbel-tree", kWidth | kLength | kNodes | kTau | kMost | kSources, 16, 16},
    {"block", kLength, 1, 5},
}};
constexpr std::array<std::string_view, 8> kNames = {kKinds[0].name, kKinds[1].name, kKinds[2].name,
                                                    kKinds[3].name, kKinds[4].name, kKinds[5].name,
                                                    kKinds[6].name, kKinds[7].name};

const Kind& kind_of(const Method& method) { return kKinds[static_cast<std::size_t>(method.kind)]; }

[[noreturn]] void fail(const std::string& message) {
  throw Error(ErrorCode::invalid_option, message, "method");
}

MethodKind parse_kind(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<MethodKind>(i);
  }
  std::string known;
  for (const std::string_view n : kNames) known += (known.empty() ? "" : ", ") + std::string(n);
  fail("unknown method '" + std::string(name) + "'; known: " + known);
}

template <class Number>
Number parse_number(std::string_view key, std::string_view value, Number least, Number most) {
  Number number{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc{} || end != value.data() + value.size() ||
      !(number >= least && number <= most)) {
    char limits[64];
    std::snprintf(limits, sizeof limits, "[%g, %g]", static_cast<double>(least),
                  static_cast<double>(most));
    fail("method option " + std::string(key) + " is '" + std::string(value) +
         "', but must be a number in " + limits);
  }
  return number;
}

void set_option(Method& method, std::string_view key, std::string_view value) {
  const Kind& kind = kind_of(method);
  unsigned field = 0;
  std::string known;
  for (const Option& o : kOptions) {
    if ((kind.fields & o.field) == 0) continue;
    if (o.key == key) field = o.field;
    known += (known.empty() ? "" : ", ") + std::string(o.key);
  }
  switch (field) {
    case kWidth:
      method.width = parse_number(key, value, 1, kMaxWidth);
      return;
    case kLength:
      method.length = parse_number(key, value, 1, kMaxLength);
      return;
    case kNodes:
      method.max_nodes = parse_number(key, value, 0, kMaxNodes);
      return;
    case kTau:
      method.tau = parse_number(key, value, 0.01F, 10.0F);
      return;
    case kKeep:
      method.keep_pruned = parse_number(key, value, 0, 1) != 0;
      return;
    case kMost:
      method.most_nodes = parse_number(key, value, 1, kMaxNodes);
      return;
    case kSources:
      method.sources = parse_draft_sources(value);
      return;
    default:
      fail("method " + std::string(kind.name) + " has no option '" + std::string(key) +
           "'; its options: " + (known.empty() ? "none" : known));
  }
}

std::string shortest(float value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  return error == std::errc{} ? std::string(text, end) : std::string("?");
}

}  // namespace

std::string_view to_string(Guarantee guarantee) {
  constexpr std::array<std::string_view, 3> kGuarantees = {"seed", "distribution", "auto"};
  return kGuarantees[static_cast<std::size_t>(guarantee)];
}

Guarantee parse_guarantee(std::string_view text) {
  for (const Guarantee g : {Guarantee::seed, Guarantee::distribution, Guarantee::automatic}) {
    if (to_string(g) == text) return g;
  }
  fail("guarantee is '" + std::string(text) + "'; give seed, distribution or auto");
}

Method Method::of(MethodKind kind) {
  const Kind& k = kKinds[static_cast<std::size_t>(kind)];
  return {.kind = kind, .width = k.width, .length = k.length};
}

Method parse_method(std::string_view text) {
  const std::size_t colon = text.find(':');
  Method method = Method::of(parse_kind(text.substr(0, colon)));
  if (colon == std::string_view::npos) return method;
  for (std::string_view rest = text.substr(colon + 1);;) {
    const std::size_t comma = rest.find(',');
    const std::string_view option = rest.substr(0, comma);
    const std::size_t equal = option.find('=');
    if (equal == std::string_view::npos) {
      fail("method option '" + std::string(option) + "' has no value; write key=value");
    }
    set_option(method, option.substr(0, equal), option.substr(equal + 1));
    if (comma == std::string_view::npos) break;
    rest = rest.substr(comma + 1);
  }
  // Without a limit of its own a tree may have width * length nodes; these must fit into a pass.
  if (method.node_limit() > kMaxNodes) {
    fail("method " + std::string(text) + " has up to " + std::to_string(method.node_limit()) +
         " nodes, but at most " + std::to_string(kMaxNodes) +
         " can be verified; make it smaller or add nodes=N");
  }
  return method;
}

std::string to_string(const Method& method) {
  const Method standard = Method::of(method.kind);
  std::string options;
  const auto add = [&](bool differs, const char* key, const std::string& value) {
    if (!differs) return;
    options += options.empty() ? ':' : ',';
    options.append(key).append("=").append(value);
  };
  add(method.width != standard.width, "width", std::to_string(method.width));
  add(method.drafts() && method.length != standard.length, "length", std::to_string(method.length));
  add(method.max_nodes != standard.max_nodes, "nodes", std::to_string(method.max_nodes));
  add(method.tau != standard.tau, "tau", shortest(method.tau));
  add(method.keep_pruned != standard.keep_pruned, "keep", method.keep_pruned ? "1" : "0");
  add(method.most_nodes != standard.most_nodes, "max", std::to_string(method.most_nodes));
  if (method.sources) add(true, "sources", to_string(*method.sources));
  return std::string(kind_of(method).name) + options;
}

// What it is written as has to be read back.
void validate(const Method& method) { (void)parse_method(to_string(method)); }

std::span<const std::string_view> method_names() { return kNames; }

PossibleMethod possible_method(const Method& wanted, const ModelLimits& target,
                               const ModelLimits& draft) {
  if (!wanted.drafts()) return {wanted, ""};
  const std::string kept =
      wanted.keeps_seed() ? "(the text is the same)" : "(the distribution is the same)";
  const auto plain = [&kept](const std::string& which, const ModelLimits& limits) {
    return PossibleMethod{Method::of(MethodKind::ar),
                          "the " + which + " model " + std::string(limits.why_no_drop) +
                              " and cannot drop drafted tokens: decoding plainly " + kept};
  };
  if (!target.can_drop && target.max_drop == 0) return plain("target", target);
  if (!draft.can_draft()) return plain("draft", draft);
  // Several candidates of one node branch, too. What is planned is planned as a chain by itself.
  const bool branches =
      !wanted.is_planned() && (wanted.width > 1 || wanted.kind == MethodKind::rejection_tree);
  if (branches && (!target.can_branch || !draft.can_branch)) {
    Method chain =
        Method::of(wanted.keeps_seed() ? MethodKind::gumbel_chain : MethodKind::rejection);
    chain.length = wanted.length;
    return {chain, "a model cannot hold several continuations at once: drafting a chain of " +
                       std::to_string(chain.length) + " " + kept};
  }
  return {wanted, ""};
}

}  // namespace gumbelspec
