#include "testing/zoo/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace gumbelspec::zoo {
namespace {

using Json = nlohmann::json;

std::string number(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

Json json_of(const Difference& d) {
  return {{"n_rows", d.n_rows},
          {"largest", d.largest},
          {"median", d.median},
          {"n_other_choice", d.n_other_choice},
          {"largest_margin", d.largest_margin}};
}

// JSON has no infinity; it comes as null.
float real(const Json& json) { return json.is_null() ? INFINITY : json.get<float>(); }

Difference difference_of(const Json& json) {
  Difference d;
  d.n_rows = json.at("n_rows");
  d.largest = real(json.at("largest"));
  d.median = real(json.at("median"));
  d.n_other_choice = json.at("n_other_choice");
  d.largest_margin = real(json.at("largest_margin"));
  return d;
}

Json json_of(const Agreement& a) {
  return {{"is_known", a.is_known},
          {"tolerance", a.tolerance},
          {"rounding", json_of(a.rounding)},
          {"own", json_of(a.own)}};
}

Agreement agreement_of(const Json& json) {
  Agreement a;
  a.is_known = json.at("is_known");
  a.tolerance = real(json.at("tolerance"));
  a.rounding = difference_of(json.at("rounding"));
  a.own = difference_of(json.at("own"));
  return a;
}

Json json_of(const TextReport& t) {
  return {{"n_texts", t.n_texts},
          {"n_identical", t.n_identical},
          {"first_different", t.first_different},
          {"margin", t.margin},
          {"chain_tokens_per_pass", t.chain_tokens_per_pass},
          {"useless_tokens_per_pass", t.useless_tokens_per_pass},
          {"is_plain", t.is_plain}};
}

TextReport texts_of(const Json& json) {
  TextReport t;
  t.n_texts = json.at("n_texts");
  t.n_identical = json.at("n_identical");
  t.first_different = json.at("first_different");
  t.margin = real(json.at("margin"));
  t.chain_tokens_per_pass = json.at("chain_tokens_per_pass");
  t.useless_tokens_per_pass = json.at("useless_tokens_per_pass");
  t.is_plain = json.at("is_plain");
  return t;
}

std::string count_of(std::size_t n, std::size_t of) {
  return std::to_string(n) + "/" + std::to_string(of);
}

// The columns behind the name.
struct Cells {
  std::string loads, identical, plain, quantized, choices, tokens_per_pass;
};

std::string difference_cell(const Agreement& a) {
  if (!a.is_known) return "-";
  return number("%.2g", a.own.largest) + " (" + number("%.2g", a.rounding.largest) + ")";
}

Cells cells_of(const ModelReport& r) {
  Cells cells{"-", "-", difference_cell(r.plain), difference_cell(r.quantized), "-", "-"};
  if (r.is_loaded) cells.loads = r.is_plain ? "yes, decodes plainly" : "yes";
  if (!r.refusal.empty()) cells.loads = "refused";
  const TextReport& t = r.texts;
  if (r.plain.is_known) {
    cells.choices = count_of(r.plain.own.n_other_choice, r.plain.own.n_rows) + " (" +
                    number("%.2g", r.plain.own.largest_margin) + ")";
  }
  if (t.n_texts == 0) return cells;
  cells.identical = count_of(t.n_identical, t.n_texts);
  if (!r.no_promise.empty()) cells.identical += " (not promised)";
  cells.tokens_per_pass = number("%.2f", t.chain_tokens_per_pass);
  return cells;
}

// A cell must not end by what a message holds.
std::string in_cell(std::string text) {
  std::replace(text.begin(), text.end(), '|', '/');
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string row_of(const ModelReport& r) {
  const Cells c = cells_of(r);
  return "| `" + r.name + "` | " + c.loads + " | " + c.identical + " | " + c.plain + " | " +
         c.choices + " | " + c.quantized + " | " + c.tokens_per_pass + " | " +
         number("%.2f", r.sight.context) + " / " + number("%.2f", r.sight.order) + " |\n";
}

std::string list_of_faults(const std::vector<ModelReport>& reports) {
  std::string text;
  for (const ModelReport& r : reports) {
    for (const std::string& fault : r.faults)
      text += "- `" + r.name + "`: " + in_cell(fault) + "\n";
  }
  return text.empty() ? "None.\n" : text;
}

std::string list_of_refusals(const std::vector<ModelReport>& reports) {
  std::string text;
  for (const ModelReport& r : reports) {
    if (!r.refusal.empty()) text += "- `" + r.name + "`: " + in_cell(r.refusal) + "\n";
  }
  return text;
}

}  // namespace

std::string to_json(const ModelReport& r) {
  const Json json = {{"name", r.name},
                     {"sight", {r.sight.spread, r.sight.context, r.sight.order, r.sight.rounding}},
                     {"is_loaded", r.is_loaded},
                     {"refusal", r.refusal},
                     {"no_promise", r.no_promise},
                     {"is_plain", r.is_plain},
                     {"plain", json_of(r.plain)},
                     {"quantized", json_of(r.quantized)},
                     {"texts", json_of(r.texts)},
                     {"faults", r.faults},
                     {"seconds", r.seconds}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

ModelReport report_of_json(const std::string& text) {
  const Json json = Json::parse(text);
  ModelReport r;
  r.name = json.at("name");
  const Json& sight = json.at("sight");
  r.sight = {real(sight[0]), real(sight[1]), real(sight[2]), real(sight[3])};
  r.is_loaded = json.at("is_loaded");
  r.refusal = json.at("refusal");
  r.no_promise = json.at("no_promise");
  r.is_plain = json.at("is_plain");
  r.plain = agreement_of(json.at("plain"));
  r.quantized = agreement_of(json.at("quantized"));
  r.texts = texts_of(json.at("texts"));
  r.faults = json.at("faults").get<std::vector<std::string>>();
  r.seconds = json.at("seconds");
  return r;
}

std::string lines_of(const ModelReport& r) {
  const Cells c = cells_of(r);
  char line[256];
  std::snprintf(line, sizeof line, "%-28s %-8s same %-6s f32 %-18s own %-18s %s per pass  %.1f s\n",
                r.name.c_str(), r.is_loaded ? "loads" : c.loads.c_str(), c.identical.c_str(),
                c.plain.c_str(), c.quantized.c_str(), c.tokens_per_pass.c_str(), r.seconds);
  std::string text = line;
  if (!r.no_promise.empty()) text += "  not promised: " + r.no_promise + "\n";
  for (const std::string& fault : r.faults) text += "  FAULT: " + fault + "\n";
  return text;
}

std::string page_of(const std::vector<ModelReport>& reports, const PageFacts& facts) {
  const auto count = [&](auto is_counted) {
    return std::to_string(std::count_if(reports.begin(), reports.end(), is_counted));
  };
  std::string text =
      "# The zoo: every architecture against llama.cpp's own code\n\n"
      "Made by `scripts/zoo`, " +
      facts.versions + ", on " + facts.processor + " (kernels: " + facts.kernels +
      "): " + std::to_string(reports.size()) + " models in " + number("%.0f", facts.seconds) +
      " s, " + std::to_string(facts.n_at_once) + " at a time. " +
      count([](const ModelReport& r) { return r.is_loaded; }) + " generate, " +
      count([](const ModelReport& r) { return !r.refusal.empty(); }) + " are refused, " +
      count([](const ModelReport& r) { return !r.faults.empty(); }) +
      " have a fault. What the columns mean stands in [zoo.md](../zoo.md).\n\n"
      "| model | loads | texts of all methods identical | F32: largest difference (rounding) | "
      "F32: other likeliest tokens (largest margin) | own type: largest difference (rounding) | "
      "tokens per pass, own draft | sees context / order |\n"
      "|---|---|---|---|---|---|---|---|\n";
  for (const ModelReport& r : reports) text += row_of(r);
  text += "\n## Faults\n\n" + list_of_faults(reports);
  text += "\n## Refused\n\n" + list_of_refusals(reports);
  return text;
}

}  // namespace gumbelspec::zoo
