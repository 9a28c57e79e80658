// What the server counts, in Prometheus' text format.
#ifndef GUMBELSPEC_APPS_SERVER_SERVICE_METRICS_H_
#define GUMBELSPEC_APPS_SERVER_SERVICE_METRICS_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "gumbelspec/batch.h"

namespace gumbelspec::server {

// One source for GET /metrics and docs/server.md.
struct MetricDoc {
  std::string_view name;
  std::string_view type;    // counter, gauge, histogram
  std::string_view labels;  // e.g. "position"; empty: none
  std::string_view help;
};
[[nodiscard]] std::span<const MetricDoc> metric_docs();

// Threads: any.
class Metrics {
 public:
  // n_slots: texts decoded at once.
  explicit Metrics(std::size_t n_slots);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // What a batch has counted since it was made; the next call replaces it.
  void set_batch(const BatchStatistics& statistics);
  // Another batch is made in its place: what the last one has counted stays counted, and its cache
  // is gone.
  void begin_batch();
  void observe_first_token(double seconds);
  // Between two rounds of one text.
  void observe_gap(double seconds);
  // One pass's tokens of one text.
  void observe_tokens_per_pass(std::size_t n_tokens);
  // A request's texts have ended.
  void count_text(std::size_t n_prompt, std::size_t n_reused, std::size_t n_generated);
  // path: one of a few (routes, not what clients make up).
  void count_request(const std::string& path, int status, double seconds);

  // Text format 0.0.4. llama.cpp's two rates are those since the last call.
  [[nodiscard]] std::string text();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_SERVICE_METRICS_H_
