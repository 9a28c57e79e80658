// What Google's Vertex AI tells a container by environment variables (AIP_...).
#ifndef GUMBELSPEC_APPS_CLI_VERTEX_ENVIRONMENT_H_
#define GUMBELSPEC_APPS_CLI_VERTEX_ENVIRONMENT_H_

#include "apps/server/http/http_server.h"

namespace gumbelspec::apps::cli {

// With AIP_MODE=PREDICTION: the port (AIP_HTTP_PORT), and the paths of AIP_PREDICT_ROUTE and
// AIP_HEALTH_ROUTE. Throws: Error{invalid_option}.
void take_vertex_environment(server::HttpOptions& http);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_VERTEX_ENVIRONMENT_H_
