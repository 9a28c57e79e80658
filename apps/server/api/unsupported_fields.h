// Fields of other servers that would change the text, and that this one does not have: refused
// unless their value is the one that does nothing. To ignore them would be to answer with a text
// of another distribution than was asked for.
#ifndef GUMBELSPEC_APPS_SERVER_API_UNSUPPORTED_FIELDS_H_
#define GUMBELSPEC_APPS_SERVER_API_UNSUPPORTED_FIELDS_H_

#include <string_view>

#include "apps/server/api/json_text.h"

namespace gumbelspec::server {

// Throws: ApiError{400, "unsupported"} with the field and what it may be.
void refuse_unsupported(const Json& body);

// Whether refuse_unsupported() looks at the field.
[[nodiscard]] bool is_checked(std::string_view name);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_UNSUPPORTED_FIELDS_H_
