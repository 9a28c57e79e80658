#include "apps/cli/planner_options.h"

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "apps/cli/kernels.h"
#include "apps/cli/report.h"
#include "apps/cli/stop_signals.h"
#include "apps/cli/utf8_stream.h"

namespace gumbelspec::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostNodes = 64;
// The machine may have changed in ways that the key does not show.
constexpr std::chrono::hours kMostAge{24 * 30};

Guarantee parse_guarantee(const std::string& text) {
  if (text == "seed") return Guarantee::seed;
  if (text == "distribution") return Guarantee::distribution;
  throw bad_option("--guarantee is " + in_quotes(text) + "; give seed or distribution");
}

// Everything that a pass's time depends on and that can be known.
std::string model_key(const std::string& path, const LlamaModel& model) {
  std::error_code failure;
  const auto bytes = fs::file_size(path, failure);
  const auto time = fs::last_write_time(path, failure).time_since_epoch().count();
  return fs::weakly_canonical(path, failure).string() + ", " + std::to_string(bytes) + " bytes, " +
         std::to_string(time) + ", " + model.description();
}

// Where the layers are says nothing about the way there.
std::string placement_key(const LlamaModel& model) {
  std::string text;
  for (const LlamaPlacement& part : model.placement()) {
    text += " " + part.device + ":" + std::to_string(part.layers.size());
  }
  return text;
}

std::string cost_key(const Models& models, const ModelOptions& options) {
  std::string servers;
  for (const std::string& server : options.rpc_servers) servers += "; RPC server " + server;
  return std::string("gumbelspec ") + GUMBELSPEC_VERSION + "; " +
         LlamaModel::backend_description() + "; kernels " +
         (options.use_kernels ? kernels_description() : "not used") + "; threads " +
         std::to_string(models.target->n_threads()) + "; layers on" +
         placement_key(*models.target) + "," + placement_key(*models.draft) + servers +
         "; attention " + std::to_string(static_cast<int>(options.attention)) + "; target " +
         model_key(options.target, *models.target) + "; draft " +
         model_key(options.draft, *models.draft);
}

// FNV-1a, 64 bits; the file holds the whole key.
std::string file_name(const std::string& key) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  std::string name;
  for (int i = 0; i < 16; ++i) name += "0123456789abcdef"[(hash >> (4 * i)) & 15U];
  return name + ".json";
}

Json curve_json(const PassCost& cost) {
  Json points = Json::array();
  for (const CostPoint& p : cost.curve()) points.push_back({p.n, p.seconds});
  return points;
}

PassCost curve_from(const Json& json) {
  std::vector<CostPoint> points;
  for (const Json& p : json) points.push_back({p.at(0).get<std::size_t>(), p.at(1).get<double>()});
  if (points.empty()) throw std::logic_error("an empty curve");
  return PassCost(std::move(points));
}

// Null unless there is a whole, recent file of this key. A broken one is as good as none.
std::shared_ptr<CostModel> read_costs(const fs::path& file, const std::string& key) {
  try {
    if (fs::file_time_type::clock::now() - fs::last_write_time(file) > kMostAge) return nullptr;
    std::ifstream in(file);
    const Json json = Json::parse(in);
    if (json.at("key") != key) return nullptr;
    return std::make_shared<CostModel>(
        CostModel{curve_from(json.at("target")), curve_from(json.at("draft"))});
  } catch (const std::exception&) {
    return nullptr;
  }
}

// Several programs may do so at once, and the disk may be full: then there is no file.
void write_costs(const fs::path& file, const std::string& key, const CostModel& costs) {
  const Json json = {
      {"key", key}, {"target", curve_json(costs.target)}, {"draft", curve_json(costs.draft)}};
  std::error_code failure;
  fs::create_directories(file.parent_path(), failure);
  const fs::path temporary = file.string() + "." + std::to_string(::getpid());
  {
    std::ofstream out(temporary);
    out << json.dump(1) << "\n";
    out.close();
    if (out.fail()) {
      fs::remove(temporary, failure);
      return;
    }
  }
  fs::rename(temporary, file, failure);
  if (failure) fs::remove(temporary, failure);
}

}  // namespace

void add_planner_options(CLI::App& app, PlannerOptions& options) {
  add_integer(
      app, "--draft-max", 1, 255, [&](std::int64_t n) { options.draft_max = static_cast<int>(n); },
      "Drafted tokens that gumbel-tree verifies per round at most (default: 64)");
  add_integer(
      app, "--draft-levels", 1, 64,
      [&](std::int64_t n) { options.draft_levels = static_cast<int>(n); },
      "Levels of its tree at most (default: 16)");
  add_integer(
      app, "--draft-width", 1, 64,
      [&](std::int64_t n) { options.draft_width = static_cast<int>(n); },
      "Nodes of a level that the draft evaluates at most (default: 16)");
  add_option(app, "--guarantee", "NAME",
             "seed: the text of a seed is that of plain decoding; distribution: only its "
             "distribution is, and gumbel-tree also uses rejection sampling where that is faster "
             "(default: what the method keeps)",
             [&](const std::string& text) { options.guarantee = parse_guarantee(text); });
  app.add_flag_callback(
      "--no-cost-cache", [&] { options.uses_cost_cache = false; },
      "Measure what passes cost at every start (about 2 s) instead of keeping it in "
      "~/.cache/gumbelspec/costs");
}

Method bounded_method(Method method, const PlannerOptions& options) {
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
  if (options.draft_max) method.most_nodes = *options.draft_max;
  if (options.draft_levels) method.length = *options.draft_levels;
  if (options.draft_width) method.width = *options.draft_width;
  return method;
}

std::string cost_cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache != nullptr && *cache == '/') return (fs::path(cache) / "gumbelspec/costs").string();
  if (home == nullptr || *home != '/') return {};
  return (fs::path(home) / ".cache/gumbelspec/costs").string();
}

std::shared_ptr<CostModel> costs_for(const Method& method, const Models& models,
                                     const ModelOptions& model_options,
                                     const PlannerOptions& options, Progress& progress) {
  if (!method.is_planned() || models.draft == nullptr) return nullptr;
  const std::string folder = options.uses_cost_cache ? cost_cache_folder() : std::string();
  const std::string key = cost_key(models, model_options);
  const fs::path file = fs::path(folder) / file_name(key);
  if (!folder.empty()) {
    if (auto costs = read_costs(file, key)) return costs;
  }
  progress.show("measuring what passes cost");
  const auto costs = std::make_shared<CostModel>(measure_costs(
      *models.target, *models.draft, {.most_nodes = kMostNodes, .is_cancelled = stop_requested}));
  progress.clear();
  if (stop_requested()) throw Stopped();
  if (!folder.empty() && costs->is_steady) write_costs(file, key, *costs);
  return costs;
}

}  // namespace gumbelspec::cli
