// What the promise of one text per seed rests on, in words.
#ifndef GUMBELSPEC_APPS_CLI_GUARANTEE_H_
#define GUMBELSPEC_APPS_CLI_GUARANTEE_H_

#include <string>
#include <vector>

#include "apps/common/report.h"
#include "gumbelspec/llama_model.h"

namespace gumbelspec::apps::cli {

// One line for each kind of operation, without indentation.
[[nodiscard]] std::vector<std::string> guarantee_lines(const PassGuarantee& guarantee);

[[nodiscard]] Json guarantee_json(const PassGuarantee& guarantee);

// Says in one line on standard error that the promise does not hold for these models, and why;
// nothing if it holds. Only the target counts: a draft's bits decide how fast it goes.
void tell_broken_guarantee(const LlamaModel& target);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_GUARANTEE_H_
