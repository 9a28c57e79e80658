// ggml's backends: which libraries they are in, and which of its CPU code this processor gets.
//
// In most builds they are linked. A portable build has them as modules beside llama.cpp's other
// libraries: one libggml-cpu-<variant>.so for each kind of processor, of which the best one that
// runs here is loaded; and libggml-rpc.so, libggml-cuda.so, ...
#ifndef GUMBELSPEC_SRC_LLAMA_BACKENDS_H_
#define GUMBELSPEC_SRC_LLAMA_BACKENDS_H_

#include <string>
#include <string_view>

namespace gumbelspec::internal {

// A library of llama.cpp as this build was made with it.
struct LibraryBuild {
  std::string_view name;      // of its file, without a version: "libggml-base.so"
  std::string_view build_id;  // see LoadedLibrary; empty: unknown
};

// Before anything else is asked of ggml's list of devices. Modules are loaded once per process,
// and from the folder of llama.cpp's libraries alone: never from the current one.
// Environment: GUMBELSPEC_CPU_VARIANT=haswell takes that variant instead of the best one.
// Threads: any. Throws: Error{file_not_found} for a library that is missing, damaged or of another
// build, or where no variant runs on this processor; Error{invalid_option} for a variant that is
// unknown or does not run here.
void prepare_backends();

// The variant in use, e.g. "haswell"; empty in builds without variants.
// Throws: as prepare_backends().
[[nodiscard]] std::string cpu_variant();

// Whether the operating system keeps the registers that a variant of this name computes in: a
// processor may have AVX that a kernel or a hypervisor has switched off.
[[nodiscard]] bool has_registers_for(std::string_view variant);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_BACKENDS_H_
