// Registration from inside a process. Apart from device.cc because a plug-in must not do it: there
// ggml registers what the plug-in hands out.
#include "ggml-backend.h"
#include "kernels/src/device.h"

namespace gumbelspec::kernels {

Registration register_device(const Options& options) {
  unregister_device();
  const Registration result = configure(options);
  if (result == Registration::registered) ggml_backend_register(registry());
  return result;
}

void unregister_device() { ggml_backend_unload(registry()); }

}  // namespace gumbelspec::kernels
