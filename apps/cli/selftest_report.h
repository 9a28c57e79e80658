// What the self-test found, for people and for programs.
#ifndef GUMBELSPEC_APPS_CLI_SELFTEST_REPORT_H_
#define GUMBELSPEC_APPS_CLI_SELFTEST_REPORT_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/cli/selftest_identity.h"
#include "apps/cli/selftest_reference.h"
#include "apps/common/report.h"
#include "testing/selftest_checks.h"

namespace gumbelspec::apps::cli {

struct SelftestReport {
  // Empty: there is nothing to compare, `identity_skipped` says why.
  std::optional<IdentityResult> identity;
  std::string identity_skipped;
  std::optional<ReferenceReport> reference;
  std::vector<testing::CheckResult> distribution;
  std::vector<testing::CheckResult> sabotage;

  [[nodiscard]] bool passed() const;
};

// The sections, each complete when its part has run.
[[nodiscard]] std::string identity_text(const IdentityResult& identity,
                                        std::span<const std::string> prompts);
[[nodiscard]] std::string reference_text(const ReferenceReport& reference);
[[nodiscard]] std::string checks_text(std::span<const testing::CheckResult> checks,
                                      const std::string& passed_word);

// The last line: passed or failed, exact or nearly exact.
[[nodiscard]] std::string summary_text(const SelftestReport& report);

[[nodiscard]] Json selftest_json(const SelftestReport& report);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_SELFTEST_REPORT_H_
