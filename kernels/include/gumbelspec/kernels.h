// CPU kernels for passes over a few tokens, as a ggml accelerator device.
//
// Once registered, llama.cpp places the weights it supports in the device's own memory layout when
// a model is loaded, and runs most of a pass on the device. Nothing else has to change. The device
// makes a pass over 2 to 32 tokens cost little more than one over a single token, and makes the
// logits of a token independent of what else is in the pass (see docs/kernels.md for the exact
// conditions).
//
//   gumbelspec::kernels::register_device();      // before llama_model_load_from_file
//   llama_model_params p = llama_model_default_params();
//   p.use_extra_bufts = false;                   // ggml's own repacking stays off
#ifndef GUMBELSPEC_KERNELS_H_
#define GUMBELSPEC_KERNELS_H_

#include <string>
#include <vector>

namespace gumbelspec::kernels {

struct Options {
  // Instruction set to use: one of instruction_sets(), "auto" (the best one the processor has) or
  // "off". The environment variable GUMBELSPEC_KERNELS_ISA, if set, goes before it.
  std::string isa = "auto";
  // Take attention too. Off: ggml computes it, and logits may depend on the batch.
  bool attention = true;
  // Take the cheap operations between products (norms, rotations, sums, gates) too. Off: ggml
  // computes them, with the same guarantee but with more hand-overs per layer.
  bool elementwise = true;
};

enum class Registration { registered, switched_off, unsupported_processor, unknown_isa };

// Registers the device with ggml; a second call replaces the options for models loaded later.
// Returns: what happened; anything but registered leaves ggml's own kernels in use.
// Requires: no model is being loaded meanwhile.
// Threads: call from one thread.
[[nodiscard]] Registration register_device(const Options& options = {});

// Takes the device out of ggml's list: models loaded later do not use it. Models and contexts that
// exist keep working.
void unregister_device();

// Returns: the instruction sets of this build, the best first, whether the processor has them or
// not: "amx", "avx512", "avxvnni", "avx2".
[[nodiscard]] std::vector<std::string> instruction_sets();

struct Info {
  std::string isa;                    // instruction set in use, empty when not registered
  std::vector<std::string> features;  // what the processor offers of the sets that matter here
  std::vector<std::string> types;     // weight types the device takes
  bool attention = false;
};
// Returns: the state as of the last register_device.
[[nodiscard]] Info info();

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_H_
