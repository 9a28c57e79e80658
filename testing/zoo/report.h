// What the zoo found, as lines, as JSON between processes, and as a page.
#ifndef GUMBELSPEC_TESTING_ZOO_REPORT_H_
#define GUMBELSPEC_TESTING_ZOO_REPORT_H_

#include <string>
#include <vector>

#include "testing/zoo/model_check.h"

namespace gumbelspec::zoo {

[[nodiscard]] std::string to_json(const ModelReport& report);
// Throws: std::exception if it is not what to_json() wrote.
[[nodiscard]] ModelReport report_of_json(const std::string& json);

// "llama  loads  identical 32/32 ..."; then a line for each fault.
[[nodiscard]] std::string lines_of(const ModelReport& report);

struct PageFacts {
  std::string processor;
  std::string kernels;
  std::string versions;
  double seconds = 0.0;
  std::size_t n_at_once = 1;
};

// Markdown; the reports in the order given.
[[nodiscard]] std::string page_of(const std::vector<ModelReport>& reports, const PageFacts& facts);

}  // namespace gumbelspec::zoo

#endif  // GUMBELSPEC_TESTING_ZOO_REPORT_H_
