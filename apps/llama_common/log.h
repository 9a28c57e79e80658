// In place of llama.cpp's common/log.h: what its chat code logs is not for anybody here.
#ifndef GUMBELSPEC_APPS_LLAMA_COMMON_LOG_H_
#define GUMBELSPEC_APPS_LLAMA_COMMON_LOG_H_

#define LOG_DBG(...) ((void)0)
#define LOG_TRC(...) ((void)0)
#define LOG_INF(...) ((void)0)
#define LOG_WRN(...) ((void)0)
#define LOG_ERR(...) ((void)0)

#endif  // GUMBELSPEC_APPS_LLAMA_COMMON_LOG_H_
