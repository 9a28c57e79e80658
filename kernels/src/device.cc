// The ggml side: registration, the device, its backend instances.
//
// Two device objects exist. The *registered* one answers llama.cpp's questions about weights: its
// buffer type is the packed one. Each backend instance carries a *facet* of its own, whose buffer
// type is ggml's ordinary host memory: intermediate results then live where the CPU backend can
// use them as they are, and the scheduler never copies anything between the two.
#include "kernels/src/device.h"

#include <cstdlib>
#include <cstring>

#include "gumbelspec/kernels.h"
#include "kernels/src/buffer.h"
#include "kernels/src/executor.h"
#include "kernels/src/isa.h"
#include "kernels/src/plan.h"
#include "kernels/src/served.h"

namespace gumbelspec::kernels {
namespace {

struct Settings {
  const KernelSet* kernels = nullptr;
  bool attention = true;
  bool elementwise = true;
};

// What ggml's registry refers to lives as long as the process.
Settings& settings() {
  static Settings instance;
  return instance;
}

struct Instance {
  Instance(const Settings& s, const ggml_backend_device& device)
      : options(s), executor(s.kernels), facet(device) {}
  Settings options;
  Executor executor;
  ggml_backend_device facet;
  std::vector<const ggml_tensor*> nodes;
  // llama.cpp's automatic choice of flash attention probes on which device attention would run and
  // gives it up when that is not the layer's own, the CPU. It probes before the scheduler is used
  // for the first time, so attention is claimed from the first use on.
  bool in_use = false;
};

// Embeddings that live in packed memory, where nobody else can read them. They do when a model
// uses one matrix for input and output: there is one copy of it then.
bool gets_packed_rows(const ggml_tensor* op) {
  return op->op == GGML_OP_GET_ROWS && is_packed(op->src[0]) && supports_elementwise(op);
}

bool supports(const Settings& options, const ggml_tensor* op) {
  if (is_view(op) || supports_product(op) || gets_packed_rows(op)) return true;
  if (options.attention && supports_attention(op)) return true;
  return options.elementwise && supports_elementwise(op);
}

// ---- device ----

const char* device_name(ggml_backend_dev_t) { return "GumbelSpec"; }
const char* device_description(ggml_backend_dev_t) {
  return "CPU kernels for short passes (GumbelSpec)";
}
void device_memory(ggml_backend_dev_t, size_t* free, size_t* total) { *free = *total = 0; }
enum ggml_backend_dev_type device_type(ggml_backend_dev_t) {
  return GGML_BACKEND_DEVICE_TYPE_ACCEL;
}

void device_props(ggml_backend_dev_t device, ggml_backend_dev_props* props) {
  describe(device, props);
  props->caps.mmap_support = true;
}

ggml_backend_t init_backend(ggml_backend_dev_t device, const char* params);

ggml_backend_buffer_type_t weight_buffer_type(ggml_backend_dev_t) { return packed_buffer_type(); }
ggml_backend_buffer_type_t host_buffer_type(ggml_backend_dev_t) {
  return ggml_backend_cpu_buffer_type();
}

// Asked when a model is loaded: may this weight live in the packed type? And by the scheduler.
bool device_supports_op(ggml_backend_dev_t, const ggml_tensor* op) {
  // Only weights in packed memory are the device's business at load time: everything else would
  // be moved out of ggml's own memory for nothing.
  if (op->op == GGML_OP_MUL_MAT || op->op == GGML_OP_MUL_MAT_ID) return supports_product(op);
  if (op->op == GGML_OP_GET_ROWS) return gets_packed_rows(op);
  return supports(settings(), op);
}

bool supports_buffer(ggml_backend_dev_t, ggml_backend_buffer_type_t type) {
  return type == packed_buffer_type() || ggml_backend_buft_is_host(type);
}

ggml_backend_device_i device_interface() {
  ggml_backend_device_i i{};
  i.get_name = device_name;
  i.get_description = device_description;
  i.get_memory = device_memory;
  i.get_type = device_type;
  i.get_props = device_props;
  i.init_backend = init_backend;
  i.get_buffer_type = weight_buffer_type;
  i.supports_op = device_supports_op;
  i.supports_buft = supports_buffer;
  return i;
}

bool facet_supports_op(ggml_backend_dev_t device, const ggml_tensor* op) {
  const auto* instance = static_cast<const Instance*>(device->context);
  if (op->op == GGML_OP_FLASH_ATTN_EXT && !instance->in_use) return false;
  return supports(instance->options, op);
}

// ---- backend ----

Instance& instance_of(ggml_backend_t backend) { return *static_cast<Instance*>(backend->context); }

const char* backend_name(ggml_backend_t) { return "GumbelSpec"; }

void backend_free(ggml_backend_t backend) {
  delete &instance_of(backend);
  delete backend;
}

void backend_synchronize(ggml_backend_t backend) { instance_of(backend).in_use = true; }

ggml_status backend_compute(ggml_backend_t backend, ggml_cgraph* graph) {
  Instance& instance = instance_of(backend);
  const int n = ggml_graph_n_nodes(graph);
  instance.nodes.clear();
  for (int i = 0; i < n; ++i) {
    const ggml_tensor* node = ggml_graph_node(graph, i);
    if (!is_computed(node)) continue;
    // The scheduler asks before tensors have memory; now it is known where they lie.
    if (!supports(instance.options, node)) return GGML_STATUS_FAILED;
    instance.nodes.push_back(node);
  }
  try {
    instance.executor.run(instance.nodes);
  } catch (const std::bad_alloc&) {
    return GGML_STATUS_ALLOC_FAILED;
  }
  return GGML_STATUS_SUCCESS;
}

ggml_guid_t backend_guid() {
  static ggml_guid guid = {0x67, 0x75, 0x6d, 0x62, 0x65, 0x6c, 0x73, 0x70,
                           0x65, 0x63, 0x2d, 0x63, 0x70, 0x75, 0x30, 0x31};
  return &guid;
}

ggml_backend_t init_backend(ggml_backend_dev_t device, const char*) {
  if (!settings().kernels) return nullptr;
  ggml_backend_device facet = *device;
  facet.iface.get_buffer_type = host_buffer_type;
  facet.iface.supports_op = facet_supports_op;
  auto* instance = new Instance(settings(), facet);
  instance->facet.context = instance;
  auto* backend = new ggml_backend{};
  backend->guid = backend_guid();
  backend->iface.get_name = backend_name;
  backend->iface.free = backend_free;
  backend->iface.synchronize = backend_synchronize;
  backend->iface.graph_compute = backend_compute;
  backend->device = &instance->facet;
  backend->context = instance;
  return backend;
}

void set_threads(ggml_backend_t backend, int n) {
  if (is_served(backend)) return set_served_threads(backend, n);
  instance_of(backend).executor.set_threads(n);
}

// ---- registry ----

const char* reg_name(ggml_backend_reg_t) { return "GumbelSpec"; }
size_t reg_count(ggml_backend_reg_t) {
  return settings().kernels == nullptr ? 0 : is_serving() ? 2 : 1;
}

ggml_backend_dev_t reg_device(ggml_backend_reg_t reg, size_t index) {
  if (index == 1) return served_device(reg, settings().kernels);
  static ggml_backend_device device = {device_interface(), reg, nullptr};
  set_packed_buffer_device(&device);
  return &device;
}

void* reg_address(ggml_backend_reg_t, const char* name) {
  if (std::strcmp(name, "ggml_backend_set_n_threads") == 0) {
    return reinterpret_cast<void*>(set_threads);
  }
  return nullptr;
}

}  // namespace

bool is_computed_by_kernels(const ggml_tensor* op) { return supports(settings(), op); }

void describe(ggml_backend_dev_t device, ggml_backend_dev_props* props) {
  props->name = ggml_backend_dev_name(device);
  props->description = ggml_backend_dev_description(device);
  props->type = ggml_backend_dev_type(device);
  ggml_backend_dev_memory(device, &props->memory_free, &props->memory_total);
  props->caps = {};
}

ggml_backend_reg_t registry() {
  static ggml_backend_reg reg = {
      GGML_BACKEND_API_VERSION, {reg_name, reg_count, reg_device, reg_address}, nullptr};
  return &reg;
}

Registration configure(const Options& options) {
  const char* forced = std::getenv("GUMBELSPEC_KERNELS_ISA");
  const std::string isa = forced != nullptr && *forced != '\0' ? forced : options.isa;
  settings() = Settings{nullptr, options.attention, options.elementwise};
  if (isa == "off") return Registration::switched_off;
  bool known = false;
  settings().kernels = find_kernels(isa, &known);
  if (!known) return Registration::unknown_isa;
  return settings().kernels ? Registration::registered : Registration::unsupported_processor;
}

Info info() {
  Info info;
  info.features = processor_features();
  if (!settings().kernels) return info;
  info.isa = settings().kernels->name;
  info.attention = settings().attention;
  for (const ggml_type type : weight_types()) info.types.emplace_back(weight_type_name(type));
  return info;
}

}  // namespace gumbelspec::kernels
