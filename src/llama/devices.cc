#include "src/llama/devices.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "gumbelspec/error.h"
#include "src/llama/backends.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

struct Server {
  RpcRelay* relay = nullptr;
  std::vector<ggml_backend_dev_t> devices;
};

// ggml's list of RPC servers belongs to the process and nothing leaves it, so this does, too.
struct Servers {
  std::mutex mutex;
  std::map<std::string, Server> by_name;
};

Servers& servers() {
  static auto* instance = new Servers;  // never freed: threads of relays may outlive main()
  return *instance;
}

using AddServer = ggml_backend_reg_t (*)(const char* endpoint);

AddServer add_server_function() {
  const ggml_backend_reg_t rpc = ggml_backend_reg_by_name("RPC");
  void* address = rpc == nullptr
                      ? nullptr
                      : ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_add_server");
  if (address == nullptr) {
    throw Error(ErrorCode::invalid_option,
                "rpc_servers are given, but this llama.cpp was built without RPC (-DGGML_RPC=ON); "
                "leave them out or build with scripts/llama-cpp",
                "rpc_servers");
  }
  return reinterpret_cast<AddServer>(address);
}

Server connect(const RpcPeer& peer, std::chrono::milliseconds silence) {
  const AddServer add_server = add_server_function();
  Server server;
  server.relay = new RpcRelay(peer, silence);  // see its header: for the life of the process
  // Not registered with ggml's list of all devices: models that are not told to must not use it.
  const ggml_backend_reg_t reg = add_server(server.relay->endpoint().c_str());
  server.relay->check();
  if (reg == nullptr) {
    throw Error(ErrorCode::peer_lost,
                "RPC server " + peer.name + " offers no device; start it with one (rpc-server -d)");
  }
  for (std::size_t i = 0; i < ggml_backend_reg_dev_count(reg); ++i) {
    server.devices.push_back(ggml_backend_reg_dev_get(reg, i));
  }
  return server;
}

const Server& find_server(const RpcPeer& peer, std::chrono::milliseconds silence) {
  Servers& all = servers();
  const std::string key = peer.name + " " + std::to_string(silence.count());
  const auto known = all.by_name.find(key);
  const bool is_usable = known != all.by_name.end() && !known->second.relay->is_lost();
  // One program at a time: while we are connected, a second connection would wait for ever.
  if (is_usable && known->second.relay->is_connected()) return known->second;
  RpcRelay::probe(peer, silence);
  if (is_usable) return known->second;
  return all.by_name.insert_or_assign(key, connect(peer, silence)).first->second;
}

std::string list_of(const std::vector<Device>& devices) {
  std::string text;
  for (const Device& device : devices) {
    text += (text.empty() ? "" : ", ") + device.name + " (" + device.description + ")";
  }
  return text.empty() ? "there is none" : "there are: " + text;
}

// what: of the option of this name.
[[noreturn]] void refuse(const std::string& field, const std::string& what) {
  throw Error(ErrorCode::invalid_option, field + " " + what, field);
}

}  // namespace

std::vector<Device> find_devices(const std::vector<std::string>& rpc_servers,
                                 std::chrono::milliseconds silence) {
  LogCapture::install();
  const LogSink no_log;
  const LogCapture capture(no_log);
  prepare_backends();
  std::vector<Device> found;
  {
    const std::lock_guard lock(servers().mutex);
    for (const std::string& text : rpc_servers) {
      const RpcPeer peer = parse_rpc_peer(text);
      const Server& server = find_server(peer, silence);
      for (const ggml_backend_dev_t handle : server.devices) {
        found.push_back({"RPC" + std::to_string(found.size()), peer.name, handle, server.relay});
      }
    }
  }
  for (const auto wanted : {GGML_BACKEND_DEVICE_TYPE_GPU, GGML_BACKEND_DEVICE_TYPE_IGPU}) {
    for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
      const ggml_backend_dev_t handle = ggml_backend_dev_get(i);
      if (ggml_backend_dev_type(handle) != wanted) continue;
      found.push_back(
          {ggml_backend_dev_name(handle), ggml_backend_dev_description(handle), handle, nullptr});
    }
  }
  return found;
}

std::vector<Device> chosen_devices(const LlamaModelOptions& options) {
  std::vector<Device> all = find_devices(options.rpc_servers, options.rpc_timeout);
  std::vector<Device> chosen;
  if (options.devices.empty()) {
    chosen = std::move(all);
    // As llama.cpp does: an integrated GPU only where there is nothing else.
    const auto is_integrated = [](const Device& d) {
      return ggml_backend_dev_type(d.handle) == GGML_BACKEND_DEVICE_TYPE_IGPU;
    };
    if (!std::all_of(chosen.begin(), chosen.end(), is_integrated)) {
      std::erase_if(chosen, is_integrated);
    }
  } else if (options.devices != std::vector<std::string>{"none"}) {
    for (const std::string& name : options.devices) {
      const auto at =
          std::find_if(all.begin(), all.end(), [&](const Device& d) { return d.name == name; });
      if (at == all.end()) {
        refuse("devices", "has " + printable(name) + ", which is unknown; " + list_of(all) +
                              "; none for the CPU alone");
      }
      chosen.push_back(*at);
    }
  }
  if (options.tensor_split.size() > std::max<std::size_t>(1, chosen.size())) {
    refuse("tensor_split", "has " + std::to_string(options.tensor_split.size()) + " parts for " +
                               std::to_string(chosen.size()) +
                               " devices; give at most one for each; " + list_of(chosen));
  }
  for (const float part : options.tensor_split) {
    if (part >= 0.0F) continue;
    refuse("tensor_split", "has the part " + std::to_string(part) + "; give numbers from 0 up");
  }
  const auto n = static_cast<int>(chosen.size());
  if (options.main_gpu < 0 || (options.main_gpu > 0 && options.main_gpu >= n)) {
    refuse("main_gpu", "is " + std::to_string(options.main_gpu) + "; give a number from 0 to " +
                           std::to_string(std::max(0, n - 1)) + "; " + list_of(chosen));
  }
  const bool has_remote =
      std::any_of(chosen.begin(), chosen.end(), [](const Device& d) { return d.relay != nullptr; });
  if (has_remote && options.split_mode == SplitMode::row) {
    refuse("split_mode", "is row, which does not work over RPC; use layer");
  }
  return chosen;
}

bool is_cpu_like(const Device& device) {
  const ggml_backend_buffer_type_t type = ggml_backend_dev_buffer_type(device.handle);
  return device.relay != nullptr &&
         ggml_backend_buft_get_alignment(type) ==
             ggml_backend_buft_get_alignment(ggml_backend_cpu_buffer_type()) &&
         ggml_backend_buft_get_max_size(type) == std::numeric_limits<std::size_t>::max();
}

PlacementLog::PlacementLog(const LogSink& sink, std::vector<Device> devices)
    : devices_(std::move(devices)) {
  tee_ = [this, &sink](std::string_view line) {
    read(line);
    if (sink) sink(line);
  };
}

LlamaPlacement& PlacementLog::at(const std::string& device) {
  const auto found = std::find_if(found_.begin(), found_.end(),
                                  [&](const LlamaPlacement& p) { return p.device == device; });
  if (found != found_.end()) return *found;
  return found_.emplace_back(LlamaPlacement{device, {}, 0});
}

// "load_tensors: layer  12 assigned to device RPC0, is_swa = 0"
// "load_tensors:   CPU_Mapped model buffer size =   123.45 MiB"
void PlacementLog::read(std::string_view line) {
  constexpr std::string_view kStart = "load_tensors:";
  constexpr std::string_view kLayer = "layer ";
  constexpr std::string_view kDevice = " assigned to device ";
  constexpr std::string_view kSize = " model buffer size = ";
  if (line.substr(0, kStart.size()) != kStart) return;
  line.remove_prefix(kStart.size());
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  if (const auto device = line.find(kDevice);
      device != std::string_view::npos && line.substr(0, kLayer.size()) == kLayer) {
    const std::string number(line.substr(kLayer.size(), device - kLayer.size()));
    std::string_view name = line.substr(device + kDevice.size());
    name = name.substr(0, name.find(','));
    std::string shown(name);
    for (const Device& d : devices_) {
      if (name == ggml_backend_dev_name(d.handle)) shown = d.name;
    }
    at(shown).layers.push_back(std::atoi(number.c_str()));
  } else if (const auto size = line.find(kSize); size != std::string_view::npos) {
    const std::string_view name = line.substr(0, size);
    // Memory of the CPU has several names: mapped, repacked, the kernels' own.
    std::string shown = "CPU";
    for (const Device& d : devices_) {
      if (name == ggml_backend_buft_name(ggml_backend_dev_buffer_type(d.handle))) shown = d.name;
    }
    const double mib = std::atof(std::string(line.substr(size + kSize.size())).c_str());
    at(shown).bytes += static_cast<std::size_t>(mib * 1024.0 * 1024.0);
  }
}

std::vector<LlamaPlacement> PlacementLog::placements() const {
  std::vector<LlamaPlacement> sorted = found_;
  const auto rank = [this](const LlamaPlacement& p) {
    const auto at = std::find_if(devices_.begin(), devices_.end(),
                                 [&](const Device& d) { return d.name == p.device; });
    return at - devices_.begin();
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return sorted;
}

}  // namespace gumbelspec::internal
