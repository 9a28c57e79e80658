#include "src/llama/accelerators.h"

#include <dlfcn.h>

#include <cstddef>
#include <string>

#include "gumbelspec/error.h"
#include "src/llama/backends.h"
#include "src/llama/devices.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

std::shared_mutex& list_mutex() {
  static auto* instance = new std::shared_mutex;  // never freed: threads may outlive main()
  return *instance;
}

bool is_accelerator(ggml_backend_dev_t device) {
  return ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_ACCEL;
}

std::vector<ggml_backend_reg_t> registries_of_accelerators() {
  std::vector<ggml_backend_reg_t> found;
  for (std::size_t i = 0; i < ggml_backend_reg_count(); ++i) {
    const ggml_backend_reg_t registry = ggml_backend_reg_get(i);
    const std::size_t n = ggml_backend_reg_dev_count(registry);
    std::size_t n_accelerators = 0;
    for (std::size_t k = 0; k < n; ++k) {
      if (is_accelerator(ggml_backend_reg_dev_get(registry, k))) ++n_accelerators;
    }
    if (n_accelerators == 0) continue;
    if (n_accelerators < n) {
      throw Error(ErrorCode::invalid_option,
                  "accelerators are to be left out, but ggml's registry " +
                      printable(ggml_backend_reg_name(registry)) + " has " +
                      std::to_string(n - n_accelerators) +
                      " devices of other kinds besides; do not register it (no GUMBELSPEC_SERVE)");
    }
    found.push_back(registry);
  }
  return found;
}

// ggml closes a plug-in's library when it takes its registry off the list. Its name is a constant
// of that library. A registry that is part of the program finds no library to open, and needs none.
void keep_in_memory(ggml_backend_reg_t registry) {
  Dl_info where{};
  if (dladdr(ggml_backend_reg_name(registry), &where) == 0 || where.dli_fname == nullptr) return;
  void* const library = dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
  if (library != nullptr) dlclose(library);
}

}  // namespace

DeviceList::DeviceList(bool with_accelerators) {
  if (with_accelerators) {
    reading_ = std::shared_lock(list_mutex());
    return;
  }
  alone_ = std::unique_lock(list_mutex());
  prepare_backends();
  hidden_ = registries_of_accelerators();
  for (const ggml_backend_reg_t registry : hidden_) {
    keep_in_memory(registry);
    ggml_backend_unload(registry);
  }
}

DeviceList::~DeviceList() {
  for (const ggml_backend_reg_t registry : hidden_) ggml_backend_register(registry);
}

}  // namespace gumbelspec::internal
