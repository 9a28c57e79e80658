#include "apps/cli/guarantee.h"

#include "apps/common/output.h"

namespace gumbelspec::apps::cli {

std::vector<std::string> guarantee_lines(const PassGuarantee& guarantee) {
  std::vector<std::string> lines;
  for (const PassGuarantee::Part& part : guarantee.parts) {
    lines.push_back(std::string(part.holds ? "" : "NOT: ") + part.operations +
                    (part.device.empty() ? "" : " on " + part.device) + ": " + part.why);
  }
  return lines;
}

Json guarantee_json(const PassGuarantee& guarantee) {
  Json parts = Json::array();
  for (const PassGuarantee::Part& part : guarantee.parts) {
    parts.push_back({{"operations", part.operations},
                     {"device", part.device},
                     {"holds", part.holds},
                     {"why", part.why}});
  }
  return {{"holds", guarantee.holds}, {"parts", std::move(parts)}};
}

void tell_broken_guarantee(const LlamaModel& target) {
  const PassGuarantee guarantee = target.guarantee();
  if (guarantee.holds) return;
  say("the text of a seed may depend on the method: " + guarantee.reason());
}

}  // namespace gumbelspec::apps::cli
