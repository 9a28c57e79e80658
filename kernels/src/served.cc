#include "kernels/src/served.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/src/buffer.h"
#include "kernels/src/executor.h"
#include "kernels/src/plan.h"
#include "kernels/src/weight_format.h"

namespace gumbelspec::kernels {
namespace {

// ---- packed copies of weights ----

struct FreeBuffer {
  void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
};

struct PackedWeight {
  ggml_tensor tensor;  // stands for the weight in a product
  std::unique_ptr<ggml_backend_buffer, FreeBuffer> memory;
};

// By the address of the weight. A graph that the server keeps refers to a copy, so it stays as long
// as the weight's own memory does.
class PackedWeights {
 public:
  // Returns: null if there is no memory for a copy.
  ggml_tensor* find_or_pack(const ggml_tensor* weight) {
    const std::lock_guard lock(mutex_);
    const auto known = by_address_.find(weight->data);
    if (known != by_address_.end() && is_same(known->second->tensor, *weight)) {
      return &known->second->tensor;
    }
    auto packed = std::make_unique<PackedWeight>();
    packed->tensor = *weight;
    const size_t size = ggml_backend_buft_get_alloc_size(packed_buffer_type(), weight);
    packed->memory.reset(ggml_backend_buft_alloc_buffer(packed_buffer_type(), size));
    if (!packed->memory) return nullptr;
    packed->tensor.buffer = packed->memory.get();
    packed->tensor.data = ggml_backend_buffer_get_base(packed->memory.get());
    ggml_backend_tensor_set(&packed->tensor, weight->data, 0, ggml_nbytes(weight));
    ggml_tensor* result = &packed->tensor;
    retire(static_cast<const char*>(weight->data), ggml_nbytes(weight));
    by_address_[weight->data] = std::move(packed);
    return result;
  }

  // Bytes of the plain memory have changed, under whatever name: so do the copies of what they
  // belong to.
  void update(const void* begin, size_t size) {
    const std::lock_guard lock(mutex_);
    const auto* first = static_cast<const char*>(begin);
    const char* last = first + size;
    for (auto it = by_address_.lower_bound(last); it != by_address_.begin();) {
      --it;
      const auto* weight = static_cast<const char*>(it->first);
      const char* weight_end = weight + ggml_nbytes(&it->second->tensor);
      if (weight_end <= first) break;  // entries do not overlap
      const char *from = std::max(first, weight), *to = std::min(last, weight_end);
      ggml_backend_tensor_set(&it->second->tensor, from, static_cast<size_t>(from - weight),
                              static_cast<size_t>(to - from));
    }
  }

  void forget(const void* begin, size_t size) {
    const std::lock_guard lock(mutex_);
    const auto* end = static_cast<const char*>(begin) + size;
    by_address_.erase(by_address_.lower_bound(begin), by_address_.lower_bound(end));
    if (by_address_.empty()) stale_.clear();
  }

 private:
  // Memory that is now another weight's.
  void retire(const char* begin, size_t size) {
    auto it = by_address_.lower_bound(begin + size);
    while (it != by_address_.begin()) {
      --it;
      const auto* end = static_cast<const char*>(it->first) + ggml_nbytes(&it->second->tensor);
      if (end <= begin) break;
      stale_.push_back(std::move(it->second));
      it = by_address_.erase(it);
    }
  }

  static bool is_same(const ggml_tensor& a, const ggml_tensor& b) {
    return a.type == b.type && ggml_are_same_shape(&a, &b);
  }

  std::mutex mutex_;
  std::map<const void*, std::unique_ptr<PackedWeight>> by_address_;
  std::vector<std::unique_ptr<PackedWeight>> stale_;
};

PackedWeights& packed_weights() {
  static auto* instance = new PackedWeights;  // lives as long as ggml's registry
  return *instance;
}

// ---- memory: the CPU's, but for what has to be told about it ----

ggml_backend_dev_t cpu() { return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU); }

// What the CPU's buffers do, all of one kind.
ggml_backend_buffer_i& cpu_buffer() {
  static ggml_backend_buffer_i interface {};
  return interface;
}

// NOLINTBEGIN(clang-analyzer-core.CallAndMessage): alloc_buffer has set them before any is called
void free_buffer(ggml_backend_buffer_t buffer) {
  packed_weights().forget(ggml_backend_buffer_get_base(buffer),
                          ggml_backend_buffer_get_size(buffer));
  cpu_buffer().free_buffer(buffer);
}

void set_tensor(ggml_backend_buffer_t buffer, ggml_tensor* tensor, const void* data, size_t offset,
                size_t size) {
  cpu_buffer().set_tensor(buffer, tensor, data, offset, size);
  packed_weights().update(static_cast<const char*>(tensor->data) + offset, size);
}

void memset_tensor(ggml_backend_buffer_t buffer, ggml_tensor* tensor, uint8_t value, size_t offset,
                   size_t size) {
  cpu_buffer().memset_tensor(buffer, tensor, value, offset, size);
  packed_weights().update(static_cast<const char*>(tensor->data) + offset, size);
}

bool copy_tensor(ggml_backend_buffer_t buffer, const ggml_tensor* from, ggml_tensor* to) {
  if (!cpu_buffer().cpy_tensor(buffer, from, to)) return false;
  packed_weights().update(to->data, ggml_nbytes(to));
  return true;
}

void clear(ggml_backend_buffer_t buffer, uint8_t value) {
  cpu_buffer().clear(buffer, value);
  packed_weights().update(ggml_backend_buffer_get_base(buffer),
                          ggml_backend_buffer_get_size(buffer));
}
// NOLINTEND(clang-analyzer-core.CallAndMessage)

const char* type_name(ggml_backend_buffer_type_t) { return "GumbelSpecCPU"; }

ggml_backend_buffer_t alloc_buffer(ggml_backend_buffer_type_t type, size_t size) {
  ggml_backend_buffer_t buffer =
      ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
  if (buffer == nullptr) return nullptr;
  buffer->buft = type;
  cpu_buffer() = buffer->iface;
  buffer->iface.free_buffer = free_buffer;
  buffer->iface.set_tensor = set_tensor;
  buffer->iface.memset_tensor = memset_tensor;
  buffer->iface.cpy_tensor = copy_tensor;
  buffer->iface.clear = clear;
  return buffer;
}

size_t type_alignment(ggml_backend_buffer_type_t) {
  return ggml_backend_buft_get_alignment(ggml_backend_cpu_buffer_type());
}

bool is_host(ggml_backend_buffer_type_t) { return true; }

ggml_backend_buffer_type_t memory_type(ggml_backend_dev_t device) {
  static ggml_backend_buffer_type type = {
      /* .iface   = */ {type_name, alloc_buffer, type_alignment, nullptr, nullptr, is_host},
      /* .device  = */ device,
      /* .context = */ nullptr,
  };
  return &type;
}

// ---- computing ----

struct FreeContext {
  void operator()(ggml_context* context) const { ggml_free(context); }
};

struct Served {
  explicit Served(const KernelSet* kernels) : executor(kernels) {}
  Executor executor;
  ggml_backend_t cpu = nullptr;
  std::vector<const ggml_tensor*> nodes;
};

Served& served(ggml_backend_t backend) { return *static_cast<Served*>(backend->context); }

// A product with a weight as it came gets the weight's packed copy.
void use_packed(ggml_tensor* op) {
  if (op->op != GGML_OP_MUL_MAT && op->op != GGML_OP_MUL_MAT_ID) return;
  const ggml_tensor* w = op->src[0];
  if (w->op != GGML_OP_NONE || w->view_src != nullptr || !ggml_is_quantized(w->type) ||
      !can_pack(w) || w->buffer == nullptr ||
      w->buffer->iface.set_tensor != set_tensor) {  // changes elsewhere would go unnoticed
    return;
  }
  ggml_tensor* packed = packed_weights().find_or_pack(w);
  if (packed == nullptr) return;
  ggml_tensor* plain = op->src[0];
  op->src[0] = packed;
  if (!supports_product(op)) op->src[0] = plain;
}

ggml_status compute_on_cpu(Served& backend, ggml_cgraph* graph, int begin, int end) {
  const auto n = static_cast<size_t>(end - begin);
  const ggml_init_params params{ggml_graph_overhead_custom(n, false), nullptr, true};
  const std::unique_ptr<ggml_context, FreeContext> context(ggml_init(params));
  ggml_cgraph* part = ggml_new_graph_custom(context.get(), n, false);
  for (int i = begin; i < end; ++i) ggml_graph_add_node(part, ggml_graph_node(graph, i));
  return ggml_backend_graph_compute(backend.cpu, part);
}

// Memory that outlives a graph is written to through views only.
void update_overwritten(const std::vector<const ggml_tensor*>& nodes) {
  for (const ggml_tensor* node : nodes) {
    if (node->view_src != nullptr) packed_weights().update(node->data, ggml_nbytes(node));
  }
}

// Stretches of the graph in turns: those that the kernels compute, and the others.
ggml_status compute(ggml_backend_t backend, ggml_cgraph* graph) {
  Served& self = served(backend);
  const int n = ggml_graph_n_nodes(graph);
  try {
    for (int i = 0; i < n; ++i) use_packed(ggml_graph_node(graph, i));
    for (int begin = 0, end = 0; begin < n; begin = end) {
      while (begin < n && !is_computed(ggml_graph_node(graph, begin))) ++begin;
      if (begin == n) break;
      const bool is_ours = is_computed_by_kernels(ggml_graph_node(graph, begin));
      self.nodes.clear();
      for (end = begin; end < n; ++end) {
        const ggml_tensor* node = ggml_graph_node(graph, end);
        if (!is_computed(node)) continue;
        if (is_computed_by_kernels(node) != is_ours) break;
        self.nodes.push_back(node);
      }
      if (is_ours) {
        self.executor.run(self.nodes);
      } else if (const ggml_status status = compute_on_cpu(self, graph, begin, end);
                 status != GGML_STATUS_SUCCESS) {
        return status;
      }
      update_overwritten(self.nodes);
    }
  } catch (const std::bad_alloc&) {
    return GGML_STATUS_ALLOC_FAILED;
  }
  return GGML_STATUS_SUCCESS;
}

const char* name(ggml_backend_t) { return "GumbelSpecCPU"; }

void free_backend(ggml_backend_t backend) {
  ggml_backend_free(served(backend).cpu);
  delete &served(backend);
  delete backend;
}

ggml_guid_t guid() {
  static ggml_guid value = {0x67, 0x75, 0x6d, 0x62, 0x65, 0x6c, 0x73, 0x70,
                            0x65, 0x63, 0x2d, 0x72, 0x70, 0x63, 0x30, 0x31};
  return &value;
}

// ---- device ----

const char* device_name(ggml_backend_dev_t) { return "GumbelSpecCPU"; }
const char* device_description(ggml_backend_dev_t) {
  return "CPU with kernels for short passes (GumbelSpec)";
}
void device_memory(ggml_backend_dev_t, size_t* free, size_t* total) {
  ggml_backend_dev_memory(cpu(), free, total);
}
enum ggml_backend_dev_type device_type(ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; }

void device_props(ggml_backend_dev_t device, ggml_backend_dev_props* props) {
  describe(device, props);
}

ggml_backend_t init_backend(ggml_backend_dev_t device, const char*) {
  auto self = std::make_unique<Served>(static_cast<const KernelSet*>(device->context));
  self->cpu = ggml_backend_dev_init(cpu(), nullptr);
  if (self->cpu == nullptr) return nullptr;
  auto* backend = new ggml_backend{};
  backend->guid = guid();
  backend->iface.get_name = name;
  backend->iface.free = free_backend;
  backend->iface.graph_compute = compute;
  backend->device = device;
  backend->context = self.release();
  return backend;
}

// What the kernels do not compute is the CPU backend's.
bool supports_op(ggml_backend_dev_t, const ggml_tensor* op) {
  return is_view(op) || is_computed_by_kernels(op) || ggml_backend_dev_supports_op(cpu(), op);
}

bool supports_buffer(ggml_backend_dev_t device, ggml_backend_buffer_type_t type) {
  return type == memory_type(device);
}

}  // namespace

bool is_serving() {
  const char* value = std::getenv("GUMBELSPEC_SERVE");
  return value != nullptr && *value != '\0';
}

ggml_backend_dev_t served_device(ggml_backend_reg_t reg, const KernelSet* kernels) {
  static ggml_backend_device device = [&] {
    ggml_backend_device d{};
    d.iface.get_name = device_name;
    d.iface.get_description = device_description;
    d.iface.get_memory = device_memory;
    d.iface.get_type = device_type;
    d.iface.get_props = device_props;
    d.iface.init_backend = init_backend;
    d.iface.get_buffer_type = memory_type;
    d.iface.supports_op = supports_op;
    d.iface.supports_buft = supports_buffer;
    d.reg = reg;
    d.context = const_cast<KernelSet*>(kernels);
    return d;
  }();
  return &device;
}

bool is_served(ggml_backend_t backend) { return ggml_guid_matches(backend->guid, guid()); }

void set_served_threads(ggml_backend_t backend, int n) {
  Served& self = served(backend);
  self.executor.set_threads(n);
  auto* address = ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu()),
                                                    "ggml_backend_set_n_threads");
  if (address != nullptr) reinterpret_cast<ggml_backend_set_n_threads_t>(address)(self.cpu, n);
}

}  // namespace gumbelspec::kernels
