#include "apps/server/service/request_log.h"

#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string_view>

namespace gumbelspec::server {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxPath = 100;

// Clients choose it: no line breaks, no escape sequences, not endless.
std::string visible_path(std::string_view path) {
  std::string out;
  for (const char c : path.substr(0, kMaxPath)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte > 0x20 && byte < 0x7F && c != '"' && c != '\\' ? c : '?';
  }
  if (path.size() > kMaxPath) out += "...";
  return out;
}

double rounded(double value, double step) { return std::round(value / step) * step; }

std::string fixed(double value, const char* format) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string json_line(const RequestRecord& r) {
  Json json = {{"time", r.time},
               {"method", visible_path(r.method)},
               {"path", visible_path(r.path)},
               {"status", r.status}};
  if (r.n_prompt) json["prompt_tokens"] = *r.n_prompt;
  if (r.n_generated) json["generated_tokens"] = *r.n_generated;
  if (r.tokens_per_pass) json["tokens_per_pass"] = rounded(*r.tokens_per_pass, 0.01);
  if (r.first_token_ms) json["first_token_ms"] = rounded(*r.first_token_ms, 0.1);
  json["total_ms"] = rounded(r.total_ms, 0.1);
  if (!r.finish.empty()) json["finish"] = r.finish;
  return json.dump();
}

}  // namespace

std::string log_line(const RequestRecord& r, LogFormat format) {
  if (format == LogFormat::json) return json_line(r);
  std::string line = r.time + " " + visible_path(r.method) + " " + visible_path(r.path) + " " +
                     std::to_string(r.status);
  if (r.n_prompt) line += " prompt=" + std::to_string(*r.n_prompt);
  if (r.n_generated) line += " generated=" + std::to_string(*r.n_generated);
  if (r.tokens_per_pass) line += " tokens_per_pass=" + fixed(*r.tokens_per_pass, "%.2f");
  if (r.first_token_ms) line += " first_token_ms=" + fixed(*r.first_token_ms, "%.1f");
  line += " total_ms=" + fixed(r.total_ms, "%.1f");
  if (!r.finish.empty()) line += " finish=" + r.finish;
  return line;
}

std::string log_time() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> date{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::array<char, 16> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(ms));
  return std::string(date.data()) + fraction.data();
}

}  // namespace gumbelspec::server
