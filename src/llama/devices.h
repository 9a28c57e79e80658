// What models can be placed on: what llama.cpp found here, and what RPC servers offer.
#ifndef GUMBELSPEC_SRC_LLAMA_DEVICES_H_
#define GUMBELSPEC_SRC_LLAMA_DEVICES_H_

#include <chrono>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "gumbelspec/llama_model.h"
#include "src/llama/log_capture.h"
#include "src/llama/rpc_relay.h"

namespace gumbelspec::internal {

struct Device {
  std::string name;         // "CUDA0"; "RPC0", "RPC1", ... in the order of the servers
  std::string description;  // of an RPC server: its address
  ggml_backend_dev_t handle = nullptr;
  RpcRelay* relay = nullptr;  // null: it is in this machine
};

// The devices for layers (GPUs), those of RPC servers first, as llama.cpp orders them; no CPU.
// Connects to the servers; each is registered with ggml once per process, and again after a loss.
// Threads: any. Throws: Error{invalid_option, peer_lost}.
std::vector<Device> find_devices(const std::vector<std::string>& rpc_servers,
                                 std::chrono::milliseconds silence);

// Those that the options choose, in the options' order. Throws: as find_devices().
std::vector<Device> chosen_devices(const LlamaModelOptions& options);

// Whether a device computes with ggml's CPU code. A server does not say what it computes with, but
// no other backend of v0.5.0 has buffers of any size at the CPU's alignment.
bool is_cpu_like(const Device& device);

// Messages for sink, and from them where the layers and the weights are.
class PlacementLog {
 public:
  PlacementLog(const LogSink& sink, std::vector<Device> devices);
  [[nodiscard]] const LogSink& sink() const { return tee_; }
  [[nodiscard]] std::vector<LlamaPlacement> placements() const;

 private:
  void read(std::string_view line);
  LlamaPlacement& at(const std::string& device);

  std::vector<Device> devices_;
  std::vector<LlamaPlacement> found_;
  LogSink tee_;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_DEVICES_H_
