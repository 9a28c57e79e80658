// --method, and what of it the models can run.
#ifndef GUMBELSPEC_APPS_COMMON_METHOD_OPTION_H_
#define GUMBELSPEC_APPS_COMMON_METHOD_OPTION_H_

#include <optional>

#include "apps/common/model_options.h"
#include "gumbelspec/method.h"

namespace gumbelspec::apps {

void add_method_option(Arguments& arguments, std::optional<Method>& method);

// Throws: Error{invalid_option} if the method needs a draft model and there is none.
// Requires: models come from with_demo_pair().
void check_has_draft(const Method& method, const ModelOptions& models);

// Default: the library's method. Without a draft it drafts from the text itself, or, where that is
// not wanted, decodes plainly; other methods need one.
// Requires: models come from with_demo_pair(). Throws: Error{invalid_option}.
[[nodiscard]] Method method_for(const std::optional<Method>& wanted, const ModelOptions& models);

// What these models can run of the method; a change is told on standard error.
[[nodiscard]] Method possible_method_told(const Method& wanted, const Models& models);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_METHOD_OPTION_H_
