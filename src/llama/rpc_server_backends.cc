// What llama.cpp's rpc-server calls in the place of ggml_backend_load_all().
#include <cstdio>
#include <cstdlib>

#include "ggml-backend.h"
#include "gumbelspec/error.h"
#include "src/llama/backends.h"

extern "C" void gumbelspec_load_rpc_server_backends() {
  try {
    gumbelspec::internal::prepare_backends();
  } catch (const gumbelspec::Error& error) {
    std::fprintf(stderr, "rpc-server: %s\n", error.what());
    std::exit(2);
  }
  // Such as the kernels (docs/kernels.md).
  if (const char* path = std::getenv("GGML_BACKEND_PATH")) ggml_backend_load(path);
}
