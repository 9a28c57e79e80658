// What a session of a method is made of.
#ifndef GUMBELSPEC_ENGINE_METHOD_PARTS_H_
#define GUMBELSPEC_ENGINE_METHOD_PARTS_H_

#include "gumbelspec/session.h"

namespace gumbelspec {

// Fills in the drafter and, where it is not the walk, the verifier of options.method. What `parts`
// has already stays.
// Requires: options.method.drafts(); draft outlives the parts. Throws: Error{invalid_option}.
void add_method_parts(const SessionOptions& options, LanguageModel& draft, SessionParts& parts);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_METHOD_PARTS_H_
