#include "apps/structure/schema_grammar.h"

#include <algorithm>

namespace gumbelspec::structure {
namespace {

constexpr std::size_t kMaxCells = 50'000;  // members times counts

}  // namespace

std::string SchemaGrammar::write() {
  Conjunction schemas;
  add_unique(schemas, &root_);
  const Id root = id_of(schemas);
  for (Id id = 0; id < values_.size(); ++id) plan(id);
  find_possible();
  refuse_contradictions();
  for (Id id = 0; id < values_.size(); ++id) {
    if (!values_[id].is_possible) continue;
    std::string body;
    for (const Plan& plan : values_[id].plans) {
      if (is_possible(plan)) body += (body.empty() ? "" : " | ") + written(plan);
    }
    writer_.define(values_[id].rule, body);
  }
  return writer_.take(values_[root].rule);
}

bool SchemaGrammar::is_possible(const Plan& plan) const {
  if (plan.kind == Plan::Kind::text) return true;
  if (plan.kind == Plan::Kind::array && !plan.can_skip) {
    std::uint64_t n = 0;
    while (n < plan.parts.size() && is_possible(plan.parts[n])) ++n;
    const bool goes_on = n == plan.parts.size() && is_possible(plan.others[0]);
    return n >= plan.least || goes_on;
  }
  std::uint64_t n = 0;
  std::uint64_t n_required = 0;
  for (const Part& part : plan.parts) {
    if (is_possible(part)) {
      ++n;
    } else if (part.is_required) {
      return false;
    }
    n_required += part.is_required ? 1 : 0;
  }
  const bool has_others = std::any_of(plan.others.begin(), plan.others.end(),
                                      [&](const Part& part) { return is_possible(part); });
  return n + (has_others ? 1 : 0) >= plan.least && n_required <= plan.most;
}

// A value is possible if all that it has to hold is, from the leaves on: so what would never end
// is not.
void SchemaGrammar::find_possible() {
  for (bool changes = true; changes;) {
    changes = false;
    for (Value& value : values_) {
      if (value.is_possible) continue;
      value.is_possible = std::any_of(value.plans.begin(), value.plans.end(),
                                      [&](const Plan& plan) { return is_possible(plan); });
      changes = changes || value.is_possible;
    }
  }
}

// The deepest schema that no value fits, if it is not one that says so (false).
void SchemaGrammar::refuse_contradictions() {
  for (auto value = values_.rbegin(); value != values_.rend(); ++value) {
    if (value->is_possible || (is_never(value->schemas) && value->schemas.front() != &root_)) {
      continue;
    }
    const auto& schemas = value->schemas;
    std::string place = schemas.front()->place;
    for (std::size_t i = 1; i < schemas.size(); ++i) place += " and " + schemas[i]->place;
    fail_schema(place,
                "cannot be followed: no text that ends fits all of it; look for limits or "
                "types that exclude each other, or for a required property that holds "
                "itself");
  }
}

std::string SchemaGrammar::with_value(const Part& part, bool is_first) {
  std::string out = is_first ? "" : "\",\" ws ";
  out += part.text;
  if (part.value) out += values_[*part.value].rule;
  return out + " ws";
}

// Behind n parts; nullopt: not enough can follow.
std::optional<std::string> SchemaGrammar::others_behind(const Plan& plan, std::uint64_t n) {
  std::string first;
  std::string next;
  for (const Part& part : plan.others) {
    if (!is_possible(part)) continue;
    first += (first.empty() ? "" : " | ") + with_value(part, true);
    next += (next.empty() ? "" : " | ") + with_value(part, false);
  }
  const std::uint64_t least = plan.least > n ? plan.least - n : 0;
  if (first.empty() || plan.most <= n) {
    return least == 0 ? std::optional<std::string>("\"\"") : std::nullopt;
  }
  // Names of an object may be the same again.
  if (plan.kind == Plan::Kind::object && least > 1) return std::nullopt;
  const std::uint64_t most = plan.most == kNoLimit ? kNoLimit : plan.most - n;
  const auto times = [&](std::uint64_t from, std::uint64_t to) {
    return "{" + std::to_string(from) + "," + (to == kNoLimit ? "" : std::to_string(to)) + "}";
  };
  const std::string again = writer_.rule(next);
  if (n > 0) return again + times(least, most);
  const std::string all = "(" + first + ") " + again +
                          times(least == 0 ? 0 : least - 1, most == kNoLimit ? most : most - 1);
  return least == 0 ? "(" + all + ")?" : all;
}

// From the last part to the first, for each number of parts that may stand in front: what can
// follow.
std::string SchemaGrammar::written(const Plan& plan) {
  if (plan.kind == Plan::Kind::text) return plan.text;
  const bool is_object = plan.kind == Plan::Kind::object;
  const std::size_t n = plan.parts.size();
  // Counts above the top are not told apart.
  const std::uint64_t limit = std::max(plan.least, plan.most == kNoLimit ? 0 : plan.most);
  const std::size_t top = std::max<std::size_t>(
      1, plan.can_skip ? static_cast<std::size_t>(std::min<std::uint64_t>(limit, n + 100)) : n);
  if ((n + 1) * (top + 1) > kMaxCells && plan.can_skip) {
    fail_schema(plan.place,
                "counts too many members; use fewer, or leave minProperties and "
                "maxProperties (minItems and maxItems) out");
  }
  std::vector<std::optional<std::string>> behind(top + 1);  // by the number in front
  for (std::size_t count = 0; count <= top; ++count) {
    if (!plan.can_skip && count != n) continue;
    behind[count] = others_behind(plan, count);
  }
  if (!plan.can_skip && n == 0) behind[0] = others_behind(plan, 0);
  for (std::size_t i = n; i-- > 0;) {
    const Part& part = plan.parts[i];
    std::vector<std::optional<std::string>> here(top + 1);
    for (std::size_t count = 0; count <= std::min(i, top); ++count) {
      if (!plan.can_skip && count != i) continue;
      std::string ways;
      const std::size_t after = std::min(count + 1, top);
      if (is_possible(part) && count < plan.most && behind[after]) {
        ways = with_value(part, count == 0) + " " + *behind[after];
      }
      std::optional<std::string> skipped;
      if (plan.can_skip && !part.is_required) skipped = behind[count];
      if (!plan.can_skip && count >= plan.least) skipped = "\"\"";
      if (skipped) ways += (ways.empty() ? "" : " | ") + *skipped;
      if (!ways.empty()) here[count] = writer_.rule(ways);
    }
    behind = std::move(here);
  }
  const std::string inside = behind[0].value_or("\"\"");
  return is_object ? "\"{\" ws " + inside + " \"}\"" : "\"[\" ws " + inside + " \"]\"";
}

}  // namespace gumbelspec::structure
