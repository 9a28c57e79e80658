// A field of a request, read as what it must be.
#ifndef GUMBELSPEC_APPS_SERVER_API_FIELD_VALUE_H_
#define GUMBELSPEC_APPS_SERVER_API_FIELD_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "apps/server/api/api_error.h"
#include "apps/server/api/json_text.h"

namespace gumbelspec::server {

// All functions throw ApiError that names the field. Lifetime: json outlives it.
class FieldValue {
 public:
  FieldValue(const Json& json, std::string name) : json_(json), name_(std::move(name)) {}

  [[nodiscard]] const Json& json() const { return json_; }
  [[nodiscard]] const std::string& name() const { return name_; }

  [[nodiscard]] bool boolean() const;
  [[nodiscard]] std::int64_t integer(std::int64_t least, std::int64_t most) const;
  [[nodiscard]] float number() const;  // finite
  [[nodiscard]] const std::string& text() const;
  [[nodiscard]] const Json& object() const;
  [[nodiscard]] const Json& array(std::size_t least, std::size_t most) const;

  // "NAME is VALUE, but must be LIMIT".
  [[noreturn]] void refuse(const std::string& limit) const;

  [[nodiscard]] FieldValue element(std::size_t i) const;
  // Requires: it is an object that has the key.
  [[nodiscard]] FieldValue member(const std::string& key) const;
  // Whether the object has the key, with something else than null.
  [[nodiscard]] bool has(const std::string& key) const;

 private:
  const Json& json_;
  std::string name_;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_FIELD_VALUE_H_
