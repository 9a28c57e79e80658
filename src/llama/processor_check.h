// llama.cpp is built for the processor that builds it (GGML_NATIVE). On a lesser one it ends in an
// illegal instruction, maybe before main(): this says by name what is missing, before.
#ifndef GUMBELSPEC_LLAMA_PROCESSOR_CHECK_H_
#define GUMBELSPEC_LLAMA_PROCESSOR_CHECK_H_

#include <cstddef>
#include <cstdint>

namespace gumbelspec::internal {

struct CpuidRegisters {
  std::uint32_t a = 0, b = 0, c = 0, d = 0;
};

// What a processor and its operating system offer.
struct Processor {
  // Of a leaf that it does not have: zeros.
  CpuidRegisters (*cpuid)(std::uint32_t leaf, std::uint32_t subleaf) = nullptr;
  std::uint64_t saved_states = 0;  // XCR0: the registers that the system saves
};
[[nodiscard]] Processor this_processor();

// The instruction sets in `needed`, names with spaces between, that the processor lacks, with ", "
// between. Names that are not known count as there.
// Shape: out holds `size` bytes, at least one; a longer answer is cut.
// Returns: the answer's length, 0 if nothing is missing.
std::size_t missing_instruction_sets(const char* needed, const Processor& processor, char* out,
                                     std::size_t size);
// The same for what llama.cpp's CPU backend was compiled for and this processor.
std::size_t missing_instruction_sets(char* out, std::size_t size);

// One line on standard error and exit code 1 if something is missing. The first thing that runs in
// a program, before the constructors of its libraries (processor_guard.cc), so it calls nothing
// that they set up.
void refuse_lesser_processor(int argc, char** argv, char** environment);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_LLAMA_PROCESSOR_CHECK_H_
