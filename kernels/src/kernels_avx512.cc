// All but the products, which are in gemm_avx512.cc and gemm_amx.cc.
#include "kernels/src/attention_impl.h"
#include "kernels/src/gemm_amx.h"
#include "kernels/src/gemm_avx512.h"
#include "kernels/src/instruction_sets.h"
#include "kernels/src/quantize_impl.h"
#include "kernels/src/rows_impl.h"
#include "kernels/src/simd_avx512.h"

namespace gumbelspec::kernels {
namespace {

// Processors with VNNI but without BF16 instructions: that one type goes the narrow way.
void gemm_without_bf16(const GemmJob& job, int64_t begin, int64_t end) {
  (job.type == GGML_TYPE_BF16 ? kAvx2.gemm : gemm_avx512)(job, begin, end);
}

constexpr KernelSet avx512_set(const char* name, void (*gemm)(const GemmJob&, int64_t, int64_t),
                               uint32_t needs) {
  return {name,
          needs,
          quantize_impl<Avx512>,
          gemm,
          attention_impl<Avx512>,
          rms_norm_impl<Avx512>,
          swiglu_impl<Avx512>,
          to_half_impl<Avx512>,
          rotate_impl};
}

}  // namespace

constexpr KernelSet kAmx =
    avx512_set("amx", gemm_amx, feature::kAvx512Vnni | feature::kAvx512Bf16 | feature::kAmxInt8);
constexpr KernelSet kAvx512Bf16 =
    avx512_set("avx512", gemm_avx512, feature::kAvx512Vnni | feature::kAvx512Bf16);
constexpr KernelSet kAvx512 = avx512_set("avx512", gemm_without_bf16, feature::kAvx512Vnni);

}  // namespace gumbelspec::kernels
