// Stands in for llama.cpp's common/log.h, as common.h beside it.
#ifndef GUMBELSPEC_TESTING_ZOO_LLAMA_COMMON_LOG_H_
#define GUMBELSPEC_TESTING_ZOO_LLAMA_COMMON_LOG_H_

#include "ggml.h"

#define LOG_LEVEL_DEBUG 5  // NOLINT(readability-identifier-naming): llama.cpp's names
#define LOG_LEVEL_ERROR 2  // NOLINT(readability-identifier-naming)
#define LOG(...) \
  do {           \
  } while (false)           // NOLINT(readability-identifier-naming)
#define LOG_INF(...) LOG()  // NOLINT(readability-identifier-naming)
#define LOG_ERR(...) LOG()  // NOLINT(readability-identifier-naming)

struct common_log;  // NOLINT(readability-identifier-naming)
inline void common_log_set_verbosity_thold(int /*verbosity*/) {}
inline int common_log_get_verbosity(ggml_log_level /*level*/) { return 0; }
inline common_log* common_log_main() { return nullptr; }
inline void common_log_flush(common_log* /*log*/) {}

#endif  // GUMBELSPEC_TESTING_ZOO_LLAMA_COMMON_LOG_H_
