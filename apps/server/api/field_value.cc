#include "apps/server/api/field_value.h"

#include <cmath>
#include <limits>

namespace gumbelspec::server {

void FieldValue::refuse(const std::string& limit) const {
  throw bad_request(name_ + " is " + shown(json_) + ", but must be " + limit, name_,
                    "invalid_value");
}

bool FieldValue::boolean() const {
  if (!json_.is_boolean()) refuse("true or false");
  return json_.get<bool>();
}

std::int64_t FieldValue::integer(std::int64_t least, std::int64_t most) const {
  const auto limit = [&] {
    return "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  };
  // Clients in languages with one type of number may write 5.0.
  double value = 0.0;
  if (json_.is_number_float()) {
    value = json_.get<double>();
    if (std::trunc(value) != value || std::abs(value) > 9007199254740992.0) refuse(limit());
  } else if (json_.is_number_unsigned()) {
    if (json_.get<std::uint64_t>() > static_cast<std::uint64_t>(most)) refuse(limit());
  } else if (!json_.is_number_integer()) {
    refuse(limit());
  }
  const std::int64_t whole =
      json_.is_number_float() ? static_cast<std::int64_t>(value) : json_.get<std::int64_t>();
  if (whole < least || whole > most) refuse(limit());
  return whole;
}

float FieldValue::number() const {
  if (!json_.is_number()) refuse("a number");
  const auto value = json_.get<double>();
  if (!(std::abs(value) <= static_cast<double>(std::numeric_limits<float>::max()))) {
    refuse("a number of single precision, at most 3.4e38");
  }
  return static_cast<float>(value);
}

const std::string& FieldValue::text() const {
  if (!json_.is_string()) refuse("a string");
  return json_.get_ref<const std::string&>();
}

const Json& FieldValue::object() const {
  if (!json_.is_object()) refuse("an object");
  return json_;
}

const Json& FieldValue::array(std::size_t least, std::size_t most) const {
  if (!json_.is_array() || json_.size() < least || json_.size() > most) {
    refuse("an array of " + std::to_string(least) + " to " + std::to_string(most) + " elements");
  }
  return json_;
}

FieldValue FieldValue::element(std::size_t i) const {
  return {json_.at(i), name_ + "[" + std::to_string(i) + "]"};
}

FieldValue FieldValue::member(const std::string& key) const {
  return {json_.at(key), name_ + "." + key};
}

bool FieldValue::has(const std::string& key) const {
  const auto found = object().find(key);
  return found != json_.end() && !found->is_null();
}

}  // namespace gumbelspec::server
