#include "src/llama/processor_check.h"

#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace gumbelspec::internal {
namespace {

enum class Register : std::uint8_t { b, c, d, a };

// States of XCR0: the wide registers of AVX and of AVX-512.
constexpr std::uint64_t kNone = 0;
constexpr std::uint64_t kAvx = 0x06;
constexpr std::uint64_t kAvx512 = 0xE6;

struct InstructionSet {
  const char* macro;  // of the compiler, without underscores
  const char* name;
  std::uint32_t leaf;
  std::uint32_t subleaf;
  Register in;
  unsigned bit;
  std::uint64_t states;
};

// What a compiler uses of its own accord, or ggml by name. Not AMX: ggml does without it where the
// system does not grant it.
constexpr InstructionSet kInstructionSets[] = {
    {"SSE3", "SSE3", 1, 0, Register::c, 0, kNone},
    {"SSSE3", "SSSE3", 1, 0, Register::c, 9, kNone},
    {"SSE4_1", "SSE4.1", 1, 0, Register::c, 19, kNone},
    {"SSE4_2", "SSE4.2", 1, 0, Register::c, 20, kNone},
    {"MOVBE", "MOVBE", 1, 0, Register::c, 22, kNone},
    {"POPCNT", "POPCNT", 1, 0, Register::c, 23, kNone},
    {"AVX", "AVX", 1, 0, Register::c, 28, kAvx},
    {"F16C", "F16C", 1, 0, Register::c, 29, kAvx},
    {"FMA", "FMA", 1, 0, Register::c, 12, kAvx},
    {"LZCNT", "LZCNT", 0x80000001, 0, Register::c, 5, kNone},
    {"BMI", "BMI1", 7, 0, Register::b, 3, kNone},
    {"BMI2", "BMI2", 7, 0, Register::b, 8, kNone},
    {"AVX2", "AVX2", 7, 0, Register::b, 5, kAvx},
    {"AVXVNNI", "AVX-VNNI", 7, 1, Register::a, 4, kAvx},
    {"GFNI", "GFNI", 7, 0, Register::c, 8, kNone},
    {"AVX512F", "AVX-512 F", 7, 0, Register::b, 16, kAvx512},
    {"AVX512CD", "AVX-512 CD", 7, 0, Register::b, 28, kAvx512},
    {"AVX512DQ", "AVX-512 DQ", 7, 0, Register::b, 17, kAvx512},
    {"AVX512BW", "AVX-512 BW", 7, 0, Register::b, 30, kAvx512},
    {"AVX512VL", "AVX-512 VL", 7, 0, Register::b, 31, kAvx512},
    {"AVX512IFMA", "AVX-512 IFMA", 7, 0, Register::b, 21, kAvx512},
    {"AVX512VBMI", "AVX-512 VBMI", 7, 0, Register::c, 1, kAvx512},
    {"AVX512VBMI2", "AVX-512 VBMI2", 7, 0, Register::c, 6, kAvx512},
    {"AVX512VNNI", "AVX-512 VNNI", 7, 0, Register::c, 11, kAvx512},
    {"AVX512BITALG", "AVX-512 BITALG", 7, 0, Register::c, 12, kAvx512},
    {"AVX512VPOPCNTDQ", "AVX-512 VPOPCNTDQ", 7, 0, Register::c, 14, kAvx512},
    {"AVX512BF16", "AVX-512 BF16", 7, 1, Register::a, 5, kAvx512},
    {"AVX512FP16", "AVX-512 FP16", 7, 0, Register::d, 23, kAvx512},
};

// The C library's functions on text may not be there yet: a sanitizer puts its own in their place.
class Text {
 public:
  Text(char* out, std::size_t size) : out_(out), size_(size) { out_[0] = '\0'; }
  void add(const char* part) {
    for (; *part != '\0' && length_ + 1 < size_; ++part) out_[length_++] = *part;
    out_[length_] = '\0';
  }
  [[nodiscard]] std::size_t length() const { return length_; }

 private:
  char* out_;
  std::size_t size_;
  std::size_t length_ = 0;
};

// Whether `word` is one of the words of `list`.
bool is_among(const char* word, const char* list) {
  while (*list != '\0') {
    const char* w = word;
    while (*w != '\0' && *w == *list) {
      ++w;
      ++list;
    }
    if (*w == '\0' && (*list == '\0' || *list == ' ')) return true;
    while (*list != '\0' && *list != ' ') ++list;
    while (*list == ' ') ++list;
  }
  return false;
}

bool has(const Processor& processor, const InstructionSet& set) {
  const CpuidRegisters registers = processor.cpuid(set.leaf, set.subleaf);
  std::uint32_t value = registers.a;
  if (set.in == Register::b) value = registers.b;
  if (set.in == Register::c) value = registers.c;
  if (set.in == Register::d) value = registers.d;
  return (value >> set.bit & 1U) != 0 && (processor.saved_states & set.states) == set.states;
}

CpuidRegisters ask_cpuid([[maybe_unused]] std::uint32_t leaf,
                         [[maybe_unused]] std::uint32_t subleaf) {
  CpuidRegisters r;
#if defined(__x86_64__)
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
#endif
  return r;
}

}  // namespace

Processor this_processor() {
  Processor processor{ask_cpuid, 0};
#if defined(__x86_64__)
  if ((ask_cpuid(1, 0).c & bit_OSXSAVE) != 0) {
    std::uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    processor.saved_states = static_cast<std::uint64_t>(high) << 32U | low;
  }
#endif
  return processor;
}

std::size_t missing_instruction_sets(const char* needed, const Processor& processor, char* out,
                                     std::size_t size) {
  Text text(out, size);
  for (const InstructionSet& set : kInstructionSets) {
    if (!is_among(set.macro, needed) || has(processor, set)) continue;
    if (text.length() != 0) text.add(", ");
    text.add(set.name);
  }
  return text.length();
}

std::size_t missing_instruction_sets(char* out, std::size_t size) {
  return missing_instruction_sets(GUMBELSPEC_LLAMA_NEEDS, this_processor(), out, size);
}

void refuse_lesser_processor(int, char**, char**) {
  char missing[512];
  if (missing_instruction_sets(missing, sizeof missing) == 0) return;
  char line[1024];
  Text text(line, sizeof line);
  text.add("gumbelspec: this processor has no ");
  text.add(missing);
  text.add(", which llama.cpp was built for; build gumbelspec on this machine (scripts/build)\n");
  // Nothing can be done about a line that is lost.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line, text.length());
  ::_exit(1);
}

}  // namespace gumbelspec::internal
