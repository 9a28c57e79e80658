#include "apps/bench/report.h"

#include <algorithm>
#include <cstddef>

#include "apps/common/arguments.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::bench {
namespace {

// Further levels do not fit on a line; JSON and CSV have them all.
constexpr std::size_t kShownDepths = 8;

std::string text_or(const Json& value, const std::string& otherwise) {
  if (value.is_null()) return otherwise;
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string model_text(const Json& model) {
  return text_or(model["file"], "?") + " (" + text_or(model["description"], "?") + ")";
}

// What the figures belong to, as name and text.
std::string padding_text(const Json& target) {
  if (!target.contains("padded_from") || target["padded_from"].is_null()) return {};
  return "; of the " + text_or(target["n_vocab"], "?") + " tokens only " +
         text_or(target["padded_from"], "?") + " ever win";
}

std::vector<std::pair<std::string, std::string>> header(const BenchReport& report) {
  const Json& machine = report.machine;
  const Json& models = report.models;
  std::vector<std::pair<std::string, std::string>> lines;
  lines.emplace_back("machine", text_or(machine["cpu"], "unknown processor") + ", " +
                                    text_or(machine["cores"], "?") + " cores, " +
                                    text_or(machine["memory_gib"], "?") + " GiB, " +
                                    text_or(machine["os"], "unknown system") +
                                    "; load at the start " + text_or(machine["load_average"], "?"));
  lines.emplace_back("kernels", text_or(machine["kernels"], "?"));
  lines.emplace_back(
      "models",
      "target " + model_text(models["target"]) +
          (models["draft"].is_null() ? ", no draft" : ", draft " + model_text(models["draft"])));
  if (models["is_scaled_pair"] == true) {
    std::string from;
    for (const char* name : {"target", "draft"}) {
      if (models[name].is_null() || models[name]["scaled_from"].is_null()) continue;
      from += (from.empty() ? "" : " and ") + text_or(models[name]["scaled_from"], "?");
    }
    lines.emplace_back("NOTE", "scaled pair: the models compute the functions of " + from +
                                   " at the cost of larger ones (gumbelspec-scale)" +
                                   padding_text(models["target"]));
  }
  if (report.settings.contains("replay") && !report.settings["replay"].is_null()) {
    const Json& replay = report.settings["replay"];
    lines.emplace_back("REPLAY", "of the trace " + text_or(replay["file"], "?") +
                                     ", recorded there, without the models; all times and speeds "
                                     "are MODELLED by " +
                                     text_or(replay["cost"], "?"));
  }
  lines.emplace_back("versions", "gumbelspec " + text_or(report.versions["gumbelspec"], "?") +
                                     ", " + text_or(report.versions["llama_cpp"], "?") +
                                     ", noise version " +
                                     text_or(report.versions["noise_version"], "?"));
  lines.emplace_back("settings", text_or(report.settings["summary"], ""));
  lines.emplace_back("command", text_or(report.settings["command"], ""));
  return lines;
}

std::string spread_text(const std::optional<Spread>& spread, const char* format) {
  if (!spread) return "-";
  const std::string low = formatted(format, spread->min);
  const std::string high = formatted(format, spread->max);
  const std::string median = formatted(format, spread->median);
  return low == high ? median : median + " (" + low + "-" + high + ")";
}

const char* speed_format(double value) { return value < 100.0 ? "%.1f" : "%.0f"; }

std::string number_text(const std::optional<double>& value, const char* format) {
  return value ? formatted(format, *value) : "-";
}

std::string median_text(const std::optional<Spread>& spread) {
  if (!spread) return "-";
  return formatted(spread->median < 1.0     ? "%.3f"
                   : spread->median < 100.0 ? "%.2f"
                                            : "%.0f",
                   spread->median);
}

std::string full_name(const BenchRow& row) {
  return row.method + (row.shape.empty() ? "" : ":" + row.shape);
}

TextTable main_table(const std::vector<const BenchRow*>& rows) {
  TextTable table;
  table.titles = {"method", "tokens/s", "vs ar",     "vs rejection", "tokens/pass", "accepted",
                  "nodes",  "passes",   "target ms", "draft ms",     "own ms"};
  if (!rows.empty() && rows.front()->is_replayed) table.titles[1] = "tokens/s (modelled)";
  for (const BenchRow* row : rows) {
    table.rows.push_back(
        {full_name(*row), spread_text(row->tokens_per_s, speed_format(row->tokens_per_s.median)),
         spread_text(row->speedup_vs_ar, "%.2f"), spread_text(row->speedup_vs_rejection, "%.2f"),
         number_text(row->tokens_per_pass, "%.2f"), number_text(row->accepted_per_pass, "%.2f"),
         number_text(row->nodes_per_pass, "%.1f"),
         row->n_passes ? std::to_string(*row->n_passes) : "-", median_text(row->target_ms),
         median_text(row->draft_ms), median_text(row->own_ms)});
  }
  return table;
}

TextTable depth_table(const std::vector<const BenchRow*>& rows) {
  TextTable table;
  std::size_t deepest = 0;
  for (const BenchRow* row : rows) deepest = std::max(deepest, row->by_depth.size());
  deepest = std::min(deepest, kShownDepths);
  table.titles = {"accepted at depth"};
  for (std::size_t d = 1; d <= deepest; ++d) table.titles.push_back(std::to_string(d));
  for (const BenchRow* row : rows) {
    if (row->by_depth.empty()) continue;
    std::vector<std::string> cells = {full_name(*row)};
    for (std::size_t d = 0; d < deepest; ++d) {
      const bool has = d < row->by_depth.size() && row->by_depth[d].n_drafted > 0;
      cells.push_back(
          has ? formatted("%.0f %%", 100.0 * static_cast<double>(row->by_depth[d].n_accepted) /
                                         static_cast<double>(row->by_depth[d].n_drafted))
              : "-");
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

// What --seed promises, as found.
std::string identity_note(const std::vector<BenchRow>& rows) {
  std::size_t n_compared = 0;
  std::size_t n_off = 0;
  std::string which;
  for (const BenchRow& row : rows) {
    if (!row.n_texts_different) continue;
    n_compared += row.n_texts;
    n_off += *row.n_texts_different;
    if (*row.n_texts_different == 0) continue;
    which += (which.empty() ? "" : ", ") + std::to_string(*row.n_texts_different) + " of " +
             std::to_string(row.n_texts) + " of " + full_name(row) + " at temperature " +
             formatted("%g", static_cast<double>(row.temperature));
  }
  if (n_compared == 0) return {};
  if (n_off == 0) {
    return "All " + std::to_string(n_compared) +
           " texts of methods that keep the seed are those of ar, token for token.";
  }
  return std::to_string(n_off) + " of " + std::to_string(n_compared) +
         " texts of methods that keep the seed are NOT those of ar: " + which + ".";
}

std::vector<std::string> notes_below(const BenchReport& report) {
  std::vector<std::string> notes = {
      "tokens/s and ratios: median (smallest-largest) over the runs, ratios run by run; a pass is "
      "one of the target; target, draft and own ms: per round."};
  if (const std::string identity = identity_note(report.rows); !identity.empty()) {
    notes.push_back(identity);
  }
  notes.insert(notes.end(), report.notes.begin(), report.notes.end());
  if (!report.is_complete) notes.emplace_back("Stopped before the end: this is what was complete.");
  return notes;
}

// How good the planner's guesses were; empty without a planned tree.
TextTable calibration_table(const std::vector<const BenchRow*>& rows) {
  TextTable table{{"estimate", "children", "expected", "came true"}, {}};
  for (const BenchRow* row : rows) {
    if (!row->planner) continue;
    for (const CalibrationBin& bin : row->planner->calibration) {
      const auto n = static_cast<double>(std::max<std::size_t>(bin.n, 1));
      table.rows.push_back({formatted("from %.1f", bin.low), std::to_string(bin.n),
                            formatted("%.3f", bin.expected / n),
                            formatted("%.3f", static_cast<double>(bin.n_hit) / n)});
    }
    break;  // the first one stands for all
  }
  return table;
}

std::string planner_line(const BenchRow& row) {
  const PlannerReport& p = *row.planner;
  return formatted("planner: expected %.1f tokens/s", p.expected_tokens / p.expected_s) +
         formatted(", came %.1f", static_cast<double>(p.n_tokens) / p.seconds) +
         formatted("; planning took %.2f %% of the time", 100.0 * p.plan_s / p.seconds) + ", " +
         std::to_string(p.n_probes) + " probes";
}

std::string tables_text(const BenchReport& report, bool is_markdown) {
  std::string out;
  for (const auto& [name, text] : header(report)) {
    std::string title = name;
    if (is_markdown) {
      out += "- **" + title + "**: " + (name == "command" ? "`" + text + "`" : text) + "\n";
    } else {
      title.resize(10, ' ');
      out += title + text + "\n";
    }
  }
  std::vector<float> temperatures;
  for (const BenchRow& row : report.rows) {
    if (std::find(temperatures.begin(), temperatures.end(), row.temperature) ==
        temperatures.end()) {
      temperatures.push_back(row.temperature);
    }
  }
  for (const float temperature : temperatures) {
    std::vector<const BenchRow*> rows;
    for (const BenchRow& row : report.rows) {
      if (row.temperature == temperature) rows.push_back(&row);
    }
    const std::string title = "temperature " + formatted("%g", static_cast<double>(temperature)) +
                              (report.models["is_scaled_pair"] == true ? ", scaled pair" : "");
    out +=
        is_markdown ? "\n### " + std::string("T") + title.substr(1) + "\n\n" : "\n" + title + "\n";
    out += table_text(main_table(rows), is_markdown);
    const TextTable depths = depth_table(rows);
    if (!depths.rows.empty()) out += "\n" + table_text(depths, is_markdown);
    const TextTable calibration = calibration_table(rows);
    if (!calibration.rows.empty()) out += "\n" + table_text(calibration, is_markdown);
    for (const BenchRow* row : rows) {
      if (!row->planner || !(row->planner->expected_s > 0.0)) continue;
      out += (is_markdown ? "\n" : "") + planner_line(*row) + "\n";
    }
  }
  if (report.rows.empty()) out += "\nnothing was complete\n";
  out += "\n";
  for (const std::string& note : notes_below(report)) {
    out += (is_markdown ? "- " : "") + note + "\n";
  }
  return out;
}

}  // namespace

BenchFormat parse_bench_format(const std::string& text) {
  if (text == "table") return BenchFormat::table;
  if (text == "md") return BenchFormat::md;
  if (text == "csv") return BenchFormat::csv;
  if (text == "json") return BenchFormat::json;
  throw bad_option("--format is " + in_quotes(text) + "; give table, md, csv or json");
}

std::string table_text(const TextTable& table, bool is_markdown) {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < table.titles.size(); ++c) {
    std::size_t width = table.titles[c].size();
    for (const auto& row : table.rows) width = std::max(width, row[c].size());
    widths.push_back(std::max<std::size_t>(width, 3));
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string out = is_markdown ? "| " : "";
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const std::string pad(widths[c] - cells[c].size(), ' ');
      if (c > 0) out += is_markdown ? " | " : "  ";
      out += c == 0 ? cells[c] + pad : pad + cells[c];
    }
    return out + (is_markdown ? " |\n" : "\n");
  };
  std::string out = line(table.titles);
  if (is_markdown) {
    out += "|";
    for (std::size_t c = 0; c < widths.size(); ++c) {
      out += std::string(widths[c] + 1, '-') + (c == 0 ? "-|" : ":|");
    }
    out += "\n";
  }
  for (const auto& row : table.rows) out += line(row);
  return out;
}

std::string bench_text(const BenchReport& report, BenchFormat format) {
  switch (format) {
    case BenchFormat::table:
      return tables_text(report, /*is_markdown=*/false);
    case BenchFormat::md:
      return tables_text(report, /*is_markdown=*/true);
    case BenchFormat::csv:
      return bench_csv(report);
    case BenchFormat::json:
      break;
  }
  return bench_json(report).dump(2) + "\n";
}

}  // namespace gumbelspec::apps::bench
