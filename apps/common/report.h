// Statistics as text and as JSON.
#ifndef GUMBELSPEC_APPS_COMMON_REPORT_H_
#define GUMBELSPEC_APPS_COMMON_REPORT_H_

#include <nlohmann/json.hpp>
#include <string>

#include "gumbelspec/session.h"

namespace gumbelspec::apps {

using Json = nlohmann::ordered_json;

// The keys are a contract (docs: --help of generate).
[[nodiscard]] Json statistics_json(const Statistics& statistics);

// Several aligned lines.
[[nodiscard]] std::string statistics_text(const Statistics& statistics);

// What a planner did and expected, two lines; empty before the first round.
[[nodiscard]] std::string planner_text(const PlannerReport& report);

// printf for one number.
[[nodiscard]] std::string formatted(const char* format, double value);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_REPORT_H_
