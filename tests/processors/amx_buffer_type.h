// ggml's AMX code in builds whose CPU backend has none.
#ifndef GUMBELSPEC_TESTS_PROCESSORS_AMX_BUFFER_TYPE_H_
#define GUMBELSPEC_TESTS_PROCESSORS_AMX_BUFFER_TYPE_H_

// Puts it, compiled along, into ggml's CPU device, as a build on a processor with AMX has it;
// nothing happens if it is there already, or if the processor lacks AVX-512 VNNI. The library calls
// it itself when it is loaded, which serves programs that preload it.
extern "C" __attribute__((visibility("default"))) void add_amx_buffer_type();

#endif  // GUMBELSPEC_TESTS_PROCESSORS_AMX_BUFFER_TYPE_H_
