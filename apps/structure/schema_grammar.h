// The grammar of a schema's values.
#ifndef GUMBELSPEC_APPS_STRUCTURE_SCHEMA_GRAMMAR_H_
#define GUMBELSPEC_APPS_STRUCTURE_SCHEMA_GRAMMAR_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/structure/grammar_writer.h"
#include "apps/structure/schema_shapes.h"

namespace gumbelspec::structure {

// First all conjunctions of schemas that values below the root can have to fit are found, with what
// each needs; then those are left out that have no value; then the rest is written.
class SchemaGrammar {
 public:
  // Lifetime: root outlives it.
  explicit SchemaGrammar(const JsonNode& root) : shapes_(root), root_(root) {}

  // Throws: Error{invalid_option}, field "json_schema".
  std::string write();

 private:
  using Id = std::size_t;  // of a conjunction
  static constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

  // One member of an object, one item of a list of different values.
  struct Part {
    std::string text;  // GBNF in front of the value: the name and the colon
    bool is_required = false;
    std::optional<Id> value = {};
  };
  // Texts, an array or an object.
  struct Plan {
    enum class Kind : std::uint8_t { text, array, object };
    Kind kind = Kind::text;
    std::string text = {};          // GBNF
    std::vector<Part> parts = {};   // members in their order; the first items
    std::vector<Part> others = {};  // any number of these behind them
    std::uint64_t least = 0;        // of all
    std::uint64_t most = kNoLimit;
    bool can_skip = false;  // parts that are not required may be missing in between
    std::string place = {};
  };
  struct Value {
    Conjunction schemas;
    std::vector<Plan> plans;
    bool is_possible = false;
    std::string rule;
  };

  Id id_of(const Conjunction& conjunction);
  void plan(Id id);
  void plan_listed(const std::vector<const JsonNode*>& values, std::vector<Plan>& out);
  std::optional<Plan> plan_number(const Shape& shape);
  std::optional<Plan> plan_string(const Shape& shape);
  std::optional<Plan> plan_array(const Shape& shape);
  std::optional<Plan> plan_object(const Shape& shape);
  std::optional<Plan> plan_unique(const Shape& shape, Plan plan);
  std::vector<std::string> names_of(const Shape& shape, const std::optional<Automaton>& allowed);
  void plan_other_members(const Shape& shape, const std::vector<std::string>& names,
                          const std::optional<Automaton>& allowed, Plan& plan);
  Plan text_plan(std::string text);

  [[nodiscard]] bool is_possible(const Plan& plan) const;
  [[nodiscard]] bool is_possible(const Part& part) const {
    return !part.value || values_[*part.value].is_possible;
  }
  void find_possible();
  void refuse_contradictions();

  std::string written(const Plan& plan);
  std::string with_value(const Part& part, bool is_first);
  std::optional<std::string> others_behind(const Plan& plan, std::uint64_t n);

  SchemaShapes shapes_;
  const JsonNode& root_;
  GrammarWriter writer_;
  std::vector<Value> values_;
  std::map<Conjunction, Id> ids_;
};

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_SCHEMA_GRAMMAR_H_
