// What llama.cpp's server-chat.cpp wants of the header of this name.
#ifndef GUMBELSPEC_APPS_LLAMA_COMMON_SERVER_COMMON_H_
#define GUMBELSPEC_APPS_LLAMA_COMMON_SERVER_COMMON_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "chat.h"
#include "json.h"
#include "log.h"

using json = common_json;
using raw_buffer = std::vector<std::uint8_t>;

#define SRV_WRN(...) ((void)0)

// A field, or the default where it is missing, null or of another type.
template <typename T>
T json_value(const json& body, const std::string& key, const T& default_value) {
  if (!body.contains(key) || body.at(key).is_null()) return default_value;
  try {
    return body.at(key).get<T>();
  } catch (const common_json_error&) {
    return default_value;
  }
}

// Of audio, which nobody here gives it.
inline const char* get_media_marker() { return "<__media__>"; }

#endif  // GUMBELSPEC_APPS_LLAMA_COMMON_SERVER_COMMON_H_
