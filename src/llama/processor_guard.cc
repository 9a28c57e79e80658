// Has a program check its processor first: before the constructors of ggml's libraries, which are
// compiled for the processor that built them.
//
// Only programs can have a .preinit_array, shared libraries cannot: so nothing refers to this file,
// and programs alone ask for it, by the symbol (src/llama/CMakeLists.txt).
#include "src/llama/processor_check.h"

// NOLINTBEGIN(readability-identifier-naming): a symbol of C
extern "C" {

using PreinitFunction = void (*)(int, char**, char**);
extern const PreinitFunction gumbelspec_processor_guard;

[[gnu::section(".preinit_array"), gnu::used]] const PreinitFunction gumbelspec_processor_guard =
    gumbelspec::internal::refuse_lesser_processor;

}  // extern "C"
// NOLINTEND(readability-identifier-naming)
