// The forms that programs read: JSON and CSV.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "apps/bench/report.h"
#include "gumbelspec/method.h"

namespace gumbelspec::apps::bench {
namespace {

// No clock knows more digits.
double short_number(double value) { return std::atof(formatted("%.6g", value).c_str()); }

Json number_or_null(const std::optional<double>& value) {
  return value ? Json(short_number(*value)) : Json();
}
Json count_or_null(const std::optional<std::size_t>& value) {
  return value ? Json(*value) : Json();
}

void add_spread(Json& json, const std::string& key, const std::optional<Spread>& spread) {
  json[key] = spread ? Json(short_number(spread->median)) : Json();
  json[key + "_spread"] =
      spread ? Json{short_number(spread->min), short_number(spread->max)} : Json();
  json[key + "_quartiles"] =
      spread ? Json{short_number(spread->q1), short_number(spread->q3)} : Json();
}

double rate(const DepthCount& count) {
  if (count.n_drafted == 0) return 0.0;
  return static_cast<double>(count.n_accepted) / static_cast<double>(count.n_drafted);
}

void add_depths(Json& json, const std::vector<DepthCount>& by_depth) {
  Json rates = Json::array();
  Json drafted = Json::array();
  Json accepted = Json::array();
  for (const DepthCount& count : by_depth) {
    rates.push_back(short_number(rate(count)));
    drafted.push_back(count.n_drafted);
    accepted.push_back(count.n_accepted);
  }
  json["acceptance_by_depth"] = rates;
  json["drafted_by_depth"] = drafted;
  json["accepted_by_depth"] = accepted;
}

Json planner_json(const std::optional<PlannerReport>& planner) {
  if (!planner || !(planner->seconds > 0.0) || !(planner->expected_s > 0.0)) return {};
  Json bins = Json::array();
  for (const CalibrationBin& bin : planner->calibration) {
    const auto n = static_cast<double>(std::max<std::size_t>(bin.n, 1));
    bins.push_back({{"from", short_number(bin.low)},
                    {"n", bin.n},
                    {"expected", short_number(bin.expected / n)},
                    {"observed", short_number(static_cast<double>(bin.n_hit) / n)}});
  }
  const auto n_tokens = static_cast<double>(planner->n_tokens);
  return {{"expected_tokens_per_s", short_number(planner->expected_tokens / planner->expected_s)},
          {"reached_tokens_per_s", short_number(n_tokens / planner->seconds)},
          {"expected_over_reached_tokens", short_number(planner->expected_tokens / n_tokens)},
          {"plan_share", short_number(planner->plan_s / planner->seconds)},
          {"n_probes", planner->n_probes},
          {"tau", short_number(planner->tau)},
          {"calibration", bins}};
}

Json row_json(const BenchRow& row) {
  Json json = {{"method", row.method},
               {"shape", row.shape},
               {"temperature", short_number(static_cast<double>(row.temperature))},
               {"is_peer", row.is_peer},
               {"is_replayed", row.is_replayed}};
  add_spread(json, "tokens_per_s", row.tokens_per_s);
  add_spread(json, "speedup_vs_ar", row.speedup_vs_ar);
  add_spread(json, "speedup_vs_rejection", row.speedup_vs_rejection);
  json["accepted_per_pass"] = number_or_null(row.accepted_per_pass);
  json["tokens_per_pass"] = number_or_null(row.tokens_per_pass);
  json["nodes_per_pass"] = number_or_null(row.nodes_per_pass);
  add_spread(json, "target_ms", row.target_ms);
  add_spread(json, "draft_ms", row.draft_ms);
  add_spread(json, "own_ms", row.own_ms);
  add_depths(json, row.by_depth);
  json["n_runs"] = row.n_runs;
  json["n_texts"] = row.n_texts;
  json["n_tokens"] = row.n_tokens;
  json["n_passes"] = count_or_null(row.n_passes);
  json["n_draft_passes"] = count_or_null(row.n_draft_passes);
  json["planner"] = planner_json(row.planner);
  json["n_texts_different"] = count_or_null(row.n_texts_different);
  return json;
}

std::string csv_field(const Json& value) {
  if (value.is_null()) return {};
  if (value.is_boolean()) return value.get<bool>() ? "1" : "0";
  if (!value.is_string()) return value.dump();
  std::string text = value.get<std::string>();
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

// A pair becomes two columns, a list by depth one field with semicolons.
void flatten(const Json& row, std::vector<std::string>& names, std::vector<std::string>& fields) {
  for (const auto& [key, value] : row.items()) {
    if (key == "planner") continue;  // a table of its own
    const bool is_spread = key.size() > 7 && key.compare(key.size() - 7, 7, "_spread") == 0;
    const bool is_quartiles =
        key.size() > 10 && key.compare(key.size() - 10, 10, "_quartiles") == 0;
    if (is_spread || is_quartiles) {
      const std::string stem = key.substr(0, key.rfind('_'));
      names.push_back(stem + (is_spread ? "_min" : "_q1"));
      names.push_back(stem + (is_spread ? "_max" : "_q3"));
      fields.push_back(value.is_null() ? "" : value[0].dump());
      fields.push_back(value.is_null() ? "" : value[1].dump());
      continue;
    }
    std::string text;
    if (value.is_array()) {
      for (const Json& item : value) text += (text.empty() ? "" : ";") + item.dump();
    } else {
      text = csv_field(value);
    }
    names.push_back(key);
    fields.push_back(text);
  }
}

std::string joined(const std::vector<std::string>& fields) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) line += (i == 0 ? "" : ",") + fields[i];
  return line + "\n";
}

}  // namespace

Json bench_json(const BenchReport& report) {
  Json rows = Json::array();
  for (const BenchRow& row : report.rows) rows.push_back(row_json(row));
  return {{"machine", report.machine},
          {"versions", report.versions},
          {"models", report.models},
          {"settings", report.settings},
          {"complete", report.is_complete},
          {"notes", report.notes},
          {"rows", rows}};
}

std::string bench_csv(const BenchReport& report) {
  // The names stand there without rows, too.
  std::vector<std::string> names;
  std::vector<std::string> fields;
  flatten(row_json(BenchRow{}), names, fields);
  names.emplace_back("is_scaled_pair");
  std::string out = joined(names);
  for (const BenchRow& row : report.rows) {
    fields.clear();
    flatten(row_json(row), names, fields);
    fields.push_back(csv_field(report.models["is_scaled_pair"]));
    out += joined(fields);
  }
  return out;
}

}  // namespace gumbelspec::apps::bench
