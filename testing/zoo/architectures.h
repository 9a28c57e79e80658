// The architectures that the pinned llama.cpp knows, with the parameters of small models of them:
// those of its own test, tests/test-llama-archs.cpp, which is compiled as it is.
#ifndef GUMBELSPEC_TESTING_ZOO_ARCHITECTURES_H_
#define GUMBELSPEC_TESTING_ZOO_ARCHITECTURES_H_

#include <memory>
#include <string>
#include <vector>

#include "gguf.h"

namespace gumbelspec::zoo {

struct GgufDeleter {
  void operator()(gguf_context* gguf) const { gguf_free(gguf); }
};
using Gguf = std::unique_ptr<gguf_context, GgufDeleter>;

struct Architecture {
  std::string name;  // as in general.architecture
  bool has_experts = false;
};

// Every one, with experts, without, or both, as that test has them.
[[nodiscard]] std::vector<Architecture> all_architectures();

// The metadata of a model file; no tensors. Throws: std::runtime_error for an unknown name.
[[nodiscard]] Gguf parameters_of(const Architecture& architecture);

}  // namespace gumbelspec::zoo

#endif  // GUMBELSPEC_TESTING_ZOO_ARCHITECTURES_H_
