// The other forms in which a chat is asked for, as that of /v1/chat/completions.
#ifndef GUMBELSPEC_APPS_SERVER_API_CHAT_BODY_H_
#define GUMBELSPEC_APPS_SERVER_API_CHAT_BODY_H_

#include "apps/server/api/json_text.h"
#include "apps/server/api/request.h"

namespace gumbelspec::server {

// Bodies of other endpoints are returned as they are. Throws: ApiError.
[[nodiscard]] Json chat_body(Json body, Endpoint endpoint);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_CHAT_BODY_H_
