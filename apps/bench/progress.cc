#include "apps/bench/progress.h"

#include "apps/common/report.h"

namespace gumbelspec::apps::bench {

std::string estimate_text(std::size_t n_done, std::size_t n_all, double seconds) {
  std::string text = std::to_string(n_done) + " of " + std::to_string(n_all) + " texts";
  if (n_done == 0 || n_done >= n_all) return text;
  const double left = seconds / static_cast<double>(n_done) * static_cast<double>(n_all - n_done);
  return text + ", about " +
         (left < 90.0 ? formatted("%.0f s", left) : formatted("%.0f min", left / 60.0)) + " left";
}

}  // namespace gumbelspec::apps::bench
