// Entry points of the plug-in that llama.cpp's programs load through GGML_BACKEND_PATH.
#include "kernels/src/device.h"

extern "C" {

__attribute__((visibility("default"))) int ggml_backend_score() {
  return gumbelspec::kernels::configure({}) == gumbelspec::kernels::Registration::registered ? 100
                                                                                             : 0;
}

__attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init() {
  if (gumbelspec::kernels::configure({}) != gumbelspec::kernels::Registration::registered) {
    return nullptr;
  }
  return gumbelspec::kernels::registry();
}

}  // extern "C"
