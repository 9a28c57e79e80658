#include "kernels/src/isa.h"

#include <algorithm>
#include <iterator>

#include "gumbelspec/kernels.h"
#include "kernels/src/instruction_sets.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace gumbelspec::kernels {
namespace {

struct Feature {
  uint32_t bit;
  const char* name;
  bool (*is_there)();
};

// The compiler's check includes the operating system's support for the wide registers. Its result
// is an int or a bool.
#define GUMBELSPEC_PROCESSOR_HAS(name) static_cast<bool>(__builtin_cpu_supports(name))
#if defined(__x86_64__)
// F16C and AVX-VNNI are asked for directly: not every supported compiler knows these names.
bool has_avx2() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return GUMBELSPEC_PROCESSOR_HAS("avx2") && GUMBELSPEC_PROCESSOR_HAS("fma") &&
         GUMBELSPEC_PROCESSOR_HAS("bmi") && __get_cpuid(1, &a, &b, &c, &d) != 0 &&
         ((c >> 29) & 1) != 0;
}
bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && ((a >> 4) & 1) != 0;
}
bool has_avx512_vnni() {
  return has_avx2() && GUMBELSPEC_PROCESSOR_HAS("avx512f") &&
         GUMBELSPEC_PROCESSOR_HAS("avx512bw") && GUMBELSPEC_PROCESSOR_HAS("avx512vl") &&
         GUMBELSPEC_PROCESSOR_HAS("avx512dq") && GUMBELSPEC_PROCESSOR_HAS("avx512vnni");
}
bool has_avx512_bf16() { return GUMBELSPEC_PROCESSOR_HAS("avx512bf16"); }

// Tiles are a state that Linux saves for processes that have asked for it, once for all threads. It
// refuses where a thread's signal stack is too small for them, and systems that do not know of
// tiles do not enable them.
bool may_use_tiles() {
#if defined(__linux__)
  constexpr long kAskPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return ::syscall(SYS_arch_prctl, kAskPermission, kTileData) == 0;
#else
  return false;
#endif
}
bool has_amx_int8() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  const bool has_tiles = ((d >> 24) & 1) != 0, has_int8 = ((d >> 25) & 1) != 0;
  static const bool kMayUseThem = has_tiles && has_int8 && may_use_tiles();
  return kMayUseThem;
}

constexpr Feature kFeatures[] = {
    {feature::kAvx2, "AVX2", has_avx2},
    {feature::kAvxVnni, "AVX-VNNI", has_avx_vnni},
    {feature::kAvx512Vnni, "AVX-512 VNNI", has_avx512_vnni},
    {feature::kAvx512Bf16, "AVX-512 BF16", has_avx512_bf16},
    {feature::kAmxInt8, "AMX INT8", has_amx_int8},
};
#else
constexpr Feature kFeatures[] = {{0, "none", [] { return false; }}};
#endif

#define GUMBELSPEC_ADDRESS_OF(name) &(name),
constexpr const KernelSet* kSets[] = {
    GUMBELSPEC_INSTRUCTION_SETS(GUMBELSPEC_ADDRESS_OF) nullptr,  // ends the list
};
#undef GUMBELSPEC_ADDRESS_OF

bool can_run(const KernelSet& set) {
  return std::all_of(std::begin(kFeatures), std::end(kFeatures),
                     [&](const Feature& f) { return (set.needs & f.bit) == 0 || f.is_there(); });
}

}  // namespace

std::vector<std::string> processor_features() {
  std::vector<std::string> names;
  for (const Feature& f : kFeatures) {
    if (f.is_there()) names.emplace_back(f.name);
  }
  return names;
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const KernelSet* const* set = kSets; *set != nullptr; ++set) {
    if (names.empty() || names.back() != (*set)->name) names.emplace_back((*set)->name);
  }
  return names;
}

const KernelSet* find_kernels(const std::string& name, bool* known) {
  const bool any = name == "auto" || name.empty();
  *known = any;
  for (const KernelSet* const* set = kSets; *set != nullptr; ++set) {
    if (!any && name != (*set)->name) continue;
    *known = true;
    if (can_run(**set)) return *set;
  }
  return nullptr;
}

}  // namespace gumbelspec::kernels
