// What llama.cpp's server-chat.h wants of the header of this name.
#ifndef GUMBELSPEC_APPS_LLAMA_COMMON_SERVER_HTTP_H_
#define GUMBELSPEC_APPS_LLAMA_COMMON_SERVER_HTTP_H_

#include <cstdint>
#include <vector>

struct uploaded_file {
  std::vector<std::uint8_t> data;
};

#endif  // GUMBELSPEC_APPS_LLAMA_COMMON_SERVER_HTTP_H_
