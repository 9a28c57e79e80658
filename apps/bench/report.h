// A benchmark's results for people (table, md) and for programs (csv, json).
#ifndef GUMBELSPEC_APPS_BENCH_REPORT_H_
#define GUMBELSPEC_APPS_BENCH_REPORT_H_

#include <string>
#include <string_view>
#include <vector>

#include "apps/bench/summary.h"
#include "apps/common/report.h"

namespace gumbelspec::apps::bench {

enum class BenchFormat { table, md, csv, json };

// Throws: Error{invalid_option}.
[[nodiscard]] BenchFormat parse_bench_format(const std::string& text);

struct BenchReport {
  Json machine;   // machine_json()
  Json versions;  // versions_json()
  Json models;    // models_json()
  Json settings;
  std::vector<BenchRow> rows;
  std::vector<std::string> notes;  // sentences that belong below every table
  bool is_complete = true;
};

[[nodiscard]] std::string bench_text(const BenchReport& report, BenchFormat format);

// The keys are a contract (docs/bench.md).
[[nodiscard]] Json bench_json(const BenchReport& report);

// One line per row, with the names of the columns above.
[[nodiscard]] std::string bench_csv(const BenchReport& report);

// A table with aligned columns; as Markdown, or plain.
struct TextTable {
  std::vector<std::string> titles;
  std::vector<std::vector<std::string>> rows;  // each as long as titles
};
[[nodiscard]] std::string table_text(const TextTable& table, bool is_markdown);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_REPORT_H_
