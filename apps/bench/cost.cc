#include "apps/bench/cost.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "apps/common/arguments.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::bench {
namespace {

using Curves = std::array<std::vector<CostPoint>, 2>;  // by TraceSide

[[noreturn]] void bad_file(const std::string& path) {
  throw bad_option(
      "--cost file " + in_quotes(path) +
      " has no curves; give the results.json of a benchmark with a planned tree, or {\"target\": "
      "[[nodes, ms], ...], \"draft\": [[nodes, ms], ...]}, nodes ascending and ms above 0");
}

std::vector<CostPoint> curve_of(const Json& json, const std::string& path) {
  std::vector<CostPoint> curve;
  for (const Json& pair : json) {
    const CostPoint point{pair.at(0).get<std::size_t>(), pair.at(1).get<double>() / 1000.0};
    const bool is_next = point.n > (curve.empty() ? 0 : curve.back().n);
    if (!is_next || !(point.seconds > 0.0)) bad_file(path);
    curve.push_back(point);
  }
  if (curve.empty()) bad_file(path);
  return curve;
}

Curves curves_of_file(const std::string& path) {
  std::ifstream file(path);
  std::error_code failure;
  if (!file || std::filesystem::is_directory(path, failure)) {
    throw Error(ErrorCode::file_not_found,
                "--cost is " + in_quotes(path) +
                    "; give measured, flat, linear, flat:FILE, linear:FILE, or a JSON file that "
                    "can be read");
  }
  try {
    Json json = Json::parse(file);
    if (json.contains("settings")) json = json["settings"].at("pass_ms");
    return {curve_of(json.at("target"), path), curve_of(json.at("draft"), path)};
  } catch (const Json::exception&) {
    bad_file(path);
  }
}

}  // namespace

ReplayCosts replay_costs(const std::string& option, const Trace& trace) {
  const std::size_t colon = option.find(':');
  std::string kind = option.substr(0, colon);
  std::string path;
  if (kind == "flat" || kind == "linear") {
    if (colon != std::string::npos) path = option.substr(colon + 1);
  } else if (option != "measured") {
    kind = "file";
    path = option;
  }
  Curves curves = trace.models.costs;
  std::string from = "measured while the trace was recorded";
  if (kind == "file" || colon != std::string::npos) {
    curves = curves_of_file(path);
    from = "in " + std::filesystem::path(path).filename().string();
  }
  if (curves[0].empty() || curves[1].empty()) {
    throw bad_option("--cost is " + in_quotes(option) +
                     ", but the trace has no measured costs; give a file");
  }
  std::string text = "the curves " + from;
  for (std::vector<CostPoint>& curve : curves) {
    const CostPoint one{1, curve.front().seconds};
    if (kind == "flat") {
      curve = {one};
      text =
          "a FLAT curve: a pass over any number of nodes takes as long as one over a single "
          "node " +
          from;
    } else if (kind == "linear") {
      curve = {one, {2, 2.0 * one.seconds}};
      text =
          "a LINEAR curve: a pass over n nodes takes n times as long as one over a single node " +
          from;
    }
  }
  return {{PassCost(std::move(curves[0]), false), PassCost(std::move(curves[1]), false)}, text};
}

}  // namespace gumbelspec::apps::bench
