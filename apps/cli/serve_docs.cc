// docs/server.md's tables, from what the program itself uses.
#include <string>
#include <string_view>

#include "apps/cli/serve_options.h"
#include "apps/server/api/request.h"
#include "apps/server/http/endpoints.h"
#include "apps/server/service/metrics.h"

namespace gumbelspec::apps::cli {
namespace {

// A | would end the cell.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string code(std::string_view text) {
  return text.empty() ? std::string() : "`" + cell(text) + "`";
}

std::string option_rows(const Arguments& arguments) {
  std::string rows;
  std::string group;
  for (const Option& option : arguments.options()) {
    if (option.is_hidden() || option.is_help()) continue;
    if (option.group() != group) {
      group = option.group();
      rows += "| **" + cell(group) + "** | |\n";
    }
    std::string names = option.displayed_names();
    if (option.takes_value() && names.find(' ' + option.type()) == std::string::npos) {
      names += " " + option.type();
    }
    rows += "| " + code(names) + " | " + cell(option.description()) + " |\n";
  }
  return rows;
}

std::string endpoint_rows() {
  std::string rows;
  for (const server::EndpointDoc& endpoint : server::endpoint_docs()) {
    rows += "| " + code(std::string(endpoint.method) + " " + std::string(endpoint.path)) + " | " +
            (endpoint.needs_key ? "yes" : "no") + " | " + cell(endpoint.description) + " |\n";
  }
  return rows;
}

std::string where(const server::FieldDoc& field) {
  if (field.in_completions && field.in_chat) return "both";
  return field.in_chat ? "chat" : "completions";
}

std::string field_rows() {
  std::string rows;
  for (const server::FieldDoc& field : server::request_fields()) {
    rows += "| " + code(field.name) + " | " + cell(field.type) + " | " + code(field.default_value) +
            " | " + where(field) + " | " + cell(field.description) + " |\n";
  }
  return rows;
}

std::string metric_rows() {
  std::string rows;
  for (const server::MetricDoc& metric : server::metric_docs()) {
    rows += "| " + code(metric.name) + " | " + cell(metric.type) + " | " + cell(metric.labels) +
            " | " + cell(metric.help) + " |\n";
  }
  return rows;
}

}  // namespace

std::string serve_docs(const Arguments& arguments) {
  return "## Options\n\n| option | meaning |\n|---|---|\n" + option_rows(arguments) +
         "\n## Endpoints\n\n| endpoint | needs a key | what it does |\n|---|---|---|\n" +
         endpoint_rows() +
         "\n## Request fields\n\nOf the two completion endpoints.\n\n"
         "| field | type | default | endpoint | meaning |\n|---|---|---|---|---|\n" +
         field_rows() + "\n## Metrics\n\n| name | type | labels | meaning |\n|---|---|---|---|\n" +
         metric_rows();
}

}  // namespace gumbelspec::apps::cli
