#include "src/pair/kernels.h"

#ifdef GUMBELSPEC_WITH_KERNELS

#include <cstdlib>

#include "gumbelspec/error.h"
#include "gumbelspec/kernels.h"

namespace gumbelspec {

void register_kernels() {
  if (kernels::register_device() != kernels::Registration::unknown_isa) return;
  const char* isa = std::getenv("GUMBELSPEC_KERNELS_ISA");
  std::string sets;
  for (const std::string& name : kernels::instruction_sets()) sets += ", " + name;
  throw Error(ErrorCode::invalid_option, "GUMBELSPEC_KERNELS_ISA is '" +
                                             std::string(isa == nullptr ? "" : isa) +
                                             "'; give auto" + sets + " or off");
}

std::vector<std::string> order_free_types() {
  const kernels::Info info = kernels::info();
  if (info.isa.empty() || !info.attention) return {};
  return info.types;
}

std::string kernels_description() {
  const kernels::Info info = kernels::info();
  const auto joined = [](const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
    return text.empty() ? std::string("none") : text;
  };
  const std::string offers = "; the processor offers " + joined(info.features);
  if (info.isa.empty()) return "off" + offers;
  return info.isa + " for " + joined(info.types) + (info.attention ? " and attention" : "") +
         offers;
}

}  // namespace gumbelspec

#else

namespace gumbelspec {

void register_kernels() {}
std::vector<std::string> order_free_types() { return {}; }
std::string kernels_description() { return "not in this build"; }

}  // namespace gumbelspec

#endif
