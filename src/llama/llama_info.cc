// What LlamaModel says of files, devices and llama.cpp, without a model.
#include <utility>

#include "gumbelspec/llama_model.h"
#include "llama.h"
#include "src/llama/accelerators.h"
#include "src/llama/backends.h"
#include "src/llama/devices.h"
#include "src/llama/log_capture.h"
#include "src/llama/model_file.h"

namespace gumbelspec {

std::string PassGuarantee::reason() const {
  if (holds || parts.empty()) return {};
  const Part& part = parts.front();
  const std::string where = part.device.empty() ? "" : " on " + part.device;
  return part.operations + where + ": " + part.why;
}

std::vector<LlamaDevice> LlamaModel::devices(const std::vector<std::string>& rpc_servers,
                                             std::chrono::milliseconds rpc_timeout) {
  const internal::DeviceList list(/*with_accelerators=*/true);
  std::vector<internal::Device> found = internal::find_devices(rpc_servers, rpc_timeout);
  if (const auto cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU); cpu != nullptr) {
    found.push_back({ggml_backend_dev_name(cpu), ggml_backend_dev_description(cpu), cpu, nullptr});
  }
  std::vector<LlamaDevice> devices;
  for (const internal::Device& device : found) {
    LlamaDevice told{device.name, device.description, 0, 0};
    ggml_backend_dev_memory(device.handle, &told.free_bytes, &told.total_bytes);
    if (device.relay != nullptr) device.relay->check();
    devices.push_back(std::move(told));
  }
  return devices;
}

bool LlamaModel::is_head_file(const std::string& path) { return internal::is_eagle3_file(path); }
bool LlamaModel::has_mtp_layers(const std::string& path) {
  return internal::mtp_obstacle(path).empty();
}

std::string LlamaModel::backend_description() {
  internal::LogCapture::install();
  internal::prepare_backends();
  const std::string version = llama_version();
  return "llama.cpp " + version + ": " + llama_print_system_info();
}

std::string LlamaModel::cpu_variant() {
  internal::LogCapture::install();
  return internal::cpu_variant();
}

}  // namespace gumbelspec
