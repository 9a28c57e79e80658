#include "apps/structure/string_formats.h"

#include <utility>

namespace gumbelspec::structure {
namespace {

// RFC 3339. February has 29 days in years divisible by 4, but for hundreds that are not by 400.
#define GUMBELSPEC_DATE                                                                   \
  "([0-9]{4}-(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|[0-9]{4}-(0[469]|11)-(0[1-9]|[12]" \
  "[0-9]|30)|[0-9]{4}-02-(0[1-9]|1[0-9]|2[0-8])|([0-9]{2}(0[48]|[2468][048]|[13579][26])" \
  "|([02468][048]|[13579][26])00)-02-29)"
#define GUMBELSPEC_TIME \
  "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define GUMBELSPEC_BYTE "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define GUMBELSPEC_IPV4 GUMBELSPEC_BYTE "(\\." GUMBELSPEC_BYTE "){3}"
#define GUMBELSPEC_IPV6 \
  "([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}|::1"
#define GUMBELSPEC_LABEL "[a-zA-Z0-9]([a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?"
#define GUMBELSPEC_HOST GUMBELSPEC_LABEL "(\\." GUMBELSPEC_LABEL "){0,5}"

constexpr std::pair<std::string_view, const char*> kFormats[] = {
    {"date", "^" GUMBELSPEC_DATE "$"},
    {"time", "^" GUMBELSPEC_TIME "$"},
    {"date-time", "^" GUMBELSPEC_DATE "T" GUMBELSPEC_TIME "$"},
    {"duration",
     "^P([0-9]{1,9}W|[0-9]{1,9}Y([0-9]{1,9}M([0-9]{1,9}D)?)?|[0-9]{1,9}M([0-9]{1,9}D)?|"
     "[0-9]{1,9}D|([0-9]{1,9}D)?T([0-9]{1,9}H([0-9]{1,9}M([0-9]{1,9}S)?)?|[0-9]{1,9}M([0-9]{1,9}"
     "S)?|[0-9]{1,9}S))$"},
    {"uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"},
    {"ipv4", "^" GUMBELSPEC_IPV4 "$"},
    {"ipv6", "^(" GUMBELSPEC_IPV6 ")$"},
    {"hostname", "^" GUMBELSPEC_HOST "$"},
    {"email", "^[a-zA-Z0-9_+-]{1,30}(\\.[a-zA-Z0-9_+-]{1,30})?@" GUMBELSPEC_HOST "\\.[a-z]{2,8}$"},
    {"uri", "^https?://" GUMBELSPEC_HOST "(/[a-zA-Z0-9._~-]*)*(\\?[a-zA-Z0-9._~=&-]*)?$"},
    {"base64", "^([0-9a-zA-Z+/]{4})*([0-9a-zA-Z+/]{2}==|[0-9a-zA-Z+/]{3}=)?$"},
    {"base64url", "^[A-Za-z0-9_-]*$"},
    {"e164", "^\\+[1-9][0-9]{6,14}$"},
    {"cuid", "^[cC][0-9a-z]{6,}$"},
    {"cuid2", "^[0-9a-z]+$"},
    {"ulid", "^[0-7][0-9A-HJKMNP-TV-Z]{25}$"},
    {"nanoid", "^[a-zA-Z0-9_-]{21}$"},
    {"ipvanyaddress", "^(" GUMBELSPEC_IPV4 "|" GUMBELSPEC_IPV6 ")$"},
    {"xid", "^[0-9a-vA-V]{20}$"},
    {"ksuid", "^[A-Za-z0-9]{27}$"},
    {"hex", "^[0-9a-fA-F]*$"},
    {"mac", "^[0-9A-F]{2}(:[0-9A-F]{2}){5}$"},
    {"cidrv4", "^" GUMBELSPEC_IPV4 "/([0-9]|[12][0-9]|3[0-2])$"},
    {"cidrv6", "^(" GUMBELSPEC_IPV6 ")/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$"},
    // What these mean stands in the "pattern" beside them.
    {"starts_with", ""},
    {"ends_with", ""},
    {"includes", ""},
    {"lowercase", ""},
    {"uppercase", ""},
    {"password", ""},
    {"binary", ""},
    {"path", ""},
    {"file-path", ""},
    {"directory-path", ""},
};

// OpenAPI's. "float" and "double" are what all numbers are.
struct NumberFormat {
  std::string_view name;
  const char* least;
  const char* most;
};
constexpr NumberFormat kNumberFormats[] = {
    {"int8", "-128", "127"},
    {"int16", "-32768", "32767"},
    {"int32", "-2147483648", "2147483647"},
    {"int64", "-9223372036854775808", "9223372036854775807"},
    {"uint8", "0", "255"},
    {"uint16", "0", "65535"},
    {"uint32", "0", "4294967295"},
    {"uint64", "0", "18446744073709551615"},
    {"float", nullptr, nullptr},
    {"double", nullptr, nullptr},
};

const NumberFormat* number_format(std::string_view format) {
  for (const NumberFormat& one : kNumberFormats) {
    if (one.name == format) return &one;
  }
  return nullptr;
}

}  // namespace

const char* pattern_of_format(std::string_view format) {
  for (const auto& [name, pattern] : kFormats) {
    if (name == format) return pattern;
  }
  return nullptr;
}

std::optional<std::pair<const char*, const char*>> limits_of_format(std::string_view format) {
  const NumberFormat* known = number_format(format);
  if (known == nullptr || known->least == nullptr) return std::nullopt;
  return std::make_pair(known->least, known->most);
}

bool is_format(std::string_view format) {
  return pattern_of_format(format) != nullptr || number_format(format) != nullptr;
}

std::string known_formats() {
  std::string out;
  for (const auto& [name, pattern] : kFormats) out += std::string(name) + ", ";
  for (const NumberFormat& one : kNumberFormats) out += std::string(one.name) + ", ";
  return out.substr(0, out.size() - 2);
}

}  // namespace gumbelspec::structure
