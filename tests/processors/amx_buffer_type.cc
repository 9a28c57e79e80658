#include "tests/processors/amx_buffer_type.h"

#include <algorithm>
#include <string>
#include <vector>

#include "ggml-backend.h"

// ggml-cpu's own; not in its public headers.
ggml_backend_buffer_type_t ggml_backend_amx_buffer_type();
std::vector<ggml_backend_buffer_type_t>& ggml_backend_cpu_get_extra_buffer_types();

void add_amx_buffer_type() {
  // The rest of this library is compiled for these.
  const bool is_able = static_cast<bool>(__builtin_cpu_supports("avx512vnni")) &&
                       static_cast<bool>(__builtin_cpu_supports("avx512bw")) &&
                       static_cast<bool>(__builtin_cpu_supports("avx512vl")) &&
                       static_cast<bool>(__builtin_cpu_supports("avx512dq"));
  auto& types = ggml_backend_cpu_get_extra_buffer_types();
  const bool is_there = std::any_of(types.begin(), types.end(), [](ggml_backend_buffer_type_t t) {
    return std::string(ggml_backend_buft_name(t)) == "AMX";
  });
  if (!is_able || is_there) return;
  const ggml_backend_buffer_type_t amx = ggml_backend_amx_buffer_type();
  // First, as ggml has it.
  if (amx != nullptr) types.insert(types.begin(), amx);
}

// Before anything asks the device for its list.
__attribute__((constructor)) static void add_at_start() { add_amx_buffer_type(); }
