// Outcome from inside a process. Apart from device.cc because a plug-in must not do it: there
// ggml registers what the plug-in hands out.
#include "ggml-backend.h"
#include "kernels/src/device.h"

namespace gumbelspec::kernels {

Outcome register_device(const Options& options) {
  unregister_device();
  const Outcome outcome = configure(options);
  if (outcome == Outcome::kRegistered) ggml_backend_register(registry());
  return outcome;
}

void unregister_device() { ggml_backend_unload(registry()); }

}  // namespace gumbelspec::kernels
