#include "apps/common/method_option.h"

#include <string>

namespace gumbelspec::apps {

void add_method_option(Arguments& arguments, std::optional<Method>& method) {
  std::string names;
  for (const std::string_view name : method_names()) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  arguments.add_option(
      "--method", "M",
      "How tokens are proposed; the text is the same with all but the rejection methods "
      "(block among them), which keep its distribution only: " +
          names +
          ". Shapes: rejection:length=5, block:length=5, rejection-tree:width=4,length=5,nodes=20, "
          "greedy-chain:length=5, gumbel-chain:length=5, "
          "gumbel-beam:width=4,length=5,tau=0.5,nodes=20,"
          "keep=1, gumbel-tree:nodes=16,sources=suffix+recycled (width, length 1 to 64, nodes up "
          "to 255; 0: width * "
          "length, "
          "or, of gumbel-tree, as many as pay) (default: " +
          to_string(Method{}) + ")",
      [&method](const std::string& text) { method = parse_method(text); });
}

void check_has_draft(const Method& method, const ModelOptions& models) {
  if (!method.drafts() || has_draft(models)) return;
  if (method.kind == MethodKind::gumbel_tree && method.sources != DraftSources::none()) return;
  throw bad_option("method " + to_string(method) +
                   " needs a draft model; give one with -md, or use --method ar or gumbel-tree, "
                   "which drafts from the text itself");
}

Method method_for(const std::optional<Method>& wanted, const ModelOptions& models) {
  const Method method = wanted.value_or(Method{});
  const bool is_tree = method.kind == MethodKind::gumbel_tree;
  if (is_tree && method.sources == DraftSources::none() && !has_draft(models)) {
    return parse_method("ar");
  }
  check_has_draft(method, models);
  return method;
}

Method possible_method_told(const Method& wanted, const Models& models) {
  const ModelLimits& target = models.target->limits();
  const PossibleMethod possible =
      possible_method(wanted, target, models.draft == nullptr ? target : models.draft->limits());
  // Without a draft model there is a tree or nothing; what cannot branch has trees of one leaf.
  if (models.draft == nullptr && possible.method.drafts()) return wanted;
  if (!possible.reason.empty()) say(possible.reason);
  return possible.method;
}

}  // namespace gumbelspec::apps
