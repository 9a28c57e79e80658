// libFuzzer's entry. What run_request() throws ends the process, and libFuzzer keeps the bytes.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/request_target.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)gumbelspec::fuzz::run_request({reinterpret_cast<const char*>(data), size});
  return 0;
}
