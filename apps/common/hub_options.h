// Models by name: which files of a model hub a command runs.
#ifndef GUMBELSPEC_APPS_COMMON_HUB_OPTIONS_H_
#define GUMBELSPEC_APPS_COMMON_HUB_OPTIONS_H_

#include <string>

#include "apps/common/arguments.h"
#include "apps/common/output.h"

namespace gumbelspec::apps {

struct HubOptions {
  std::string repo;        // "user/model[:quant]" of the target; empty: none
  std::string file;        // the target's file in it; empty: by its quant
  std::string url;         // of the target; empty: none
  std::string repo_draft;  // as repo, of the draft
  std::string token;       // empty: $HF_TOKEN
  bool is_offline = false;
};

void add_hub_options(Arguments& arguments, HubOptions& options);

// Brings what was asked for by name onto this machine, unless it is there. The paths of the target
// and the draft are put in where they were asked for.
// Throws: Error{invalid_option, file_not_found}; OutputError; Stopped if a signal came meanwhile.
void fetch_models(const HubOptions& options, std::string& target, std::string& draft,
                  Progress& progress);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_HUB_OPTIONS_H_
