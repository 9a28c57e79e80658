#include "apps/cli/planner_options.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "apps/common/report.h"
#include "apps/common/stop_signals.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::cli {
namespace {

constexpr std::size_t kMostNodes = 64;

// The list without the names of what is a draft model or head; those of llama.cpp's --spec-type are
// understood, and its ways to look the text up are one source here.
std::string without_model(const std::string& list, bool& names_model) {
  constexpr std::array<std::string_view, 8> kModels = {
      "head", "draft", "mtp", "eagle3", "draft-simple", "draft-mtp", "draft-eagle3", "model"};
  std::string others;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find_first_of(",+", begin), list.size());
    const std::string name = list.substr(begin, end - begin);
    begin = end + 1;
    if (std::find(kModels.begin(), kModels.end(), name) != kModels.end()) {
      names_model = true;
      continue;
    }
    others += (others.empty() ? "" : ",") + (name.rfind("ngram-", 0) == 0 ? "suffix" : name);
  }
  return others;
}

}  // namespace

void add_planner_options(Arguments& arguments, PlannerOptions& options) {
  add_integer(
      arguments, "--draft-max", 1, 255,
      [&](std::int64_t n) { options.draft_max = static_cast<int>(n); },
      "Drafted tokens that gumbel-tree verifies per round at most (default: 64)");
  add_integer(
      arguments, "--draft-levels", 1, 64,
      [&](std::int64_t n) { options.draft_levels = static_cast<int>(n); },
      "Levels of its tree at most (default: 16)");
  add_integer(
      arguments, "--draft-width", 1, 64,
      [&](std::int64_t n) { options.draft_width = static_cast<int>(n); },
      "Nodes of a level that the draft evaluates at most (default: 16)");
  arguments.add_list(
      "--draft,--spec-type", "LIST",
      "What gumbel-tree drafts from besides a draft model or head (which may be named, too: head), "
      "with commas between the names, or given "
      "several times: suffix (what followed where the text ended like this before), recycled (what "
      "the target said last after the same tokens), grammar (a grammar's only choice), none; no "
      "pass is made for them (default: all without a draft model, none with one)",
      [&](const std::vector<std::string>& lists) {
        DraftSources sources;
        for (const std::string& list : lists) {
          try {
            const std::string others = without_model(list, options.names_model);
            if (others.empty()) continue;
            const DraftSources more = parse_draft_sources(others);
            sources.suffix = sources.suffix || more.suffix;
            sources.recycled = sources.recycled || more.recycled;
            sources.grammar = sources.grammar || more.grammar;
          } catch (const Error& error) {
            throw bad_option("--draft: " + std::string(error.what()));
          }
        }
        options.sources = sources;
      });
  arguments.add_option(
      "--guarantee", "NAME",
      "seed: the text of a seed is that of plain decoding; distribution: only its "
      "distribution is, and gumbel-tree also uses rejection sampling where that is faster; auto: "
      "seed where a seed is given, distribution where not (default: what the method keeps)",
      [&](const std::string& text) {
        try {
          options.guarantee = parse_guarantee(text);
        } catch (const Error& error) {
          throw bad_option(std::string("--") + error.what());
        }
      });
  arguments.add_flag(
      "--no-cost-cache", [&] { options.uses_cost_cache = false; },
      "Measure what passes cost at every start (about 2 s), and learn how good the draft is in "
      "every text anew, instead of keeping both in ~/.cache/gumbelspec/costs");
}

void check_named_model(const PlannerOptions& options, const ModelOptions& models) {
  if (!options.names_model || has_draft(models)) return;
  throw bad_option(
      "--draft names a draft model or head, but there is none: the target has no MTP layers that "
      "can draft; give one with -md, or leave the name out");
}

Method bounded_method(const std::optional<Method>& wanted, const PlannerOptions& options) {
  Method method = wanted.value_or(Method{});
  const bool is_bounded = options.draft_max || options.draft_levels || options.draft_width;
  if (is_bounded && method.kind != MethodKind::gumbel_tree) {
    throw bad_option(
        "--draft-max, --draft-levels and --draft-width bound gumbel-tree, but the "
        "method is " +
        to_string(method) + "; give its shape with --method, or leave them out");
  }
  if (options.guarantee == Guarantee::seed && !method.keeps_seed()) {
    throw bad_option("--method " + to_string(method) +
                     " keeps the distribution but not the text of a seed; allow that with "
                     "--guarantee distribution, or use a gumbel method");
  }
  if (options.sources) {
    if (method.kind != MethodKind::gumbel_tree) {
      throw bad_option("--draft is for gumbel-tree, but the method is " + to_string(method) +
                       "; leave one of them out");
    }
    method.sources = options.sources;
  }
  if (options.draft_max) method.most_nodes = *options.draft_max;
  if (options.draft_levels) method.length = *options.draft_levels;
  if (options.draft_width) method.width = *options.draft_width;
  return method;
}

CostCache cost_cache_of(const Models& models, const ModelOptions& options,
                        const PlannerOptions& planner) {
  return {*models.target, models.draft.get(),
          CostCache::Loaded{.target = options.target,
                            .draft = options.draft,
                            .rpc_servers = options.rpc_servers,
                            .details = loading_details(options.more),
                            .attention = options.attention,
                            .uses_kernels = options.use_kernels},
          planner.uses_cost_cache};
}

std::shared_ptr<CostModel> costs_for(const Method& method, const Models& models,
                                     const CostCache& cache, Progress& progress) {
  if (!method.is_planned()) return nullptr;
  if (auto costs = cache.costs()) return costs;
  progress.show("measuring what passes cost");
  const CostMeasurement measurement{.most_nodes = kMostNodes, .is_cancelled = stop_requested};
  auto costs = std::make_shared<CostModel>(
      models.draft == nullptr ? measure_costs(*models.target, measurement)
                              : measure_costs(*models.target, *models.drafting(), measurement));
  progress.clear();
  if (stop_requested()) throw Stopped();
  if (costs->is_steady) cache.keep(*costs);
  return costs;
}

}  // namespace gumbelspec::apps::cli
