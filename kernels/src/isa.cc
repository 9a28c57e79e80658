#include "isa.h"

#include "isa_entry.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace gumbelspec::kernels {
namespace {

#if defined(__x86_64__) || defined(__i386__)
// The compiler's check includes the operating system's support for the wide registers.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
         __builtin_cpu_supports("f16c") != 0 && __builtin_cpu_supports("bmi") != 0;
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
}
bool has_bf16() { return __builtin_cpu_supports("avx512bf16") != 0; }
// Asked for directly: not every supported compiler knows the name.
bool has_avxvnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && ((a >> 4) & 1) != 0;
}
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
bool has_bf16() { return false; }
bool has_avxvnni() { return false; }
#endif

}  // namespace

namespace {

#if defined(GUMBELSPEC_HAVE_X86_KERNELS)
// Processors with VNNI but without BF16 instructions: that one format goes the narrow way.
void gemm_without_bf16(const GemmJob& job, int64_t begin, int64_t end) {
  const bool narrow = job.format == WeightFormat::kBF16;
  (narrow ? avx2::gemm : avx512::gemm)(job, begin, end);
}
#endif

}  // namespace

#if defined(GUMBELSPEC_HAVE_X86_KERNELS)

#define GUMBELSPEC_KERNEL_SET(ns, product) \
  { #ns, ns::quantize, product, ns::attention, ns::rms_norm, ns::swiglu, ns::to_half, ns::rotate }

const KernelSet* avx512_kernels() {
  static constexpr KernelSet kFull = GUMBELSPEC_KERNEL_SET(avx512, avx512::gemm);
  static constexpr KernelSet kWithoutBf16 = GUMBELSPEC_KERNEL_SET(avx512, gemm_without_bf16);
  if (!has_avx512()) return nullptr;
  return has_bf16() ? &kFull : &kWithoutBf16;
}

const KernelSet* avxvnni_kernels() {
  static constexpr KernelSet kSet = GUMBELSPEC_KERNEL_SET(avxvnni, avxvnni::gemm);
  return has_avxvnni() ? &kSet : nullptr;
}

const KernelSet* avx2_kernels() {
  static constexpr KernelSet kSet = GUMBELSPEC_KERNEL_SET(avx2, avx2::gemm);
  return has_avx2() ? &kSet : nullptr;
}

#else

const KernelSet* avx512_kernels() { return nullptr; }
const KernelSet* avxvnni_kernels() { return nullptr; }
const KernelSet* avx2_kernels() { return nullptr; }

#endif

std::vector<std::string> processor_features() {
  std::vector<std::string> names;
  if (has_avx2()) names.emplace_back("AVX2");
  if (has_avxvnni()) names.emplace_back("AVX-VNNI");
  if (has_avx512()) names.emplace_back("AVX-512 VNNI");
  if (has_bf16()) names.emplace_back("AVX-512 BF16");
  return names;
}

const KernelSet* find_kernels(const std::string& name, bool* known) {
  *known = true;
  if (name == "avx512") return avx512_kernels();
  if (name == "avxvnni") return avxvnni_kernels();
  if (name == "avx2") return avx2_kernels();
  *known = name == "auto" || name.empty();
  if (!*known) return nullptr;
  if (const KernelSet* best = avx512_kernels()) return best;
  if (const KernelSet* next = avxvnni_kernels()) return next;
  return avx2_kernels();
}

}  // namespace gumbelspec::kernels
