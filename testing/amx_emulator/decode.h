// The machine code of AMX's tile instructions in 64-bit mode.
#ifndef GUMBELSPEC_TESTING_AMX_EMULATOR_DECODE_H_
#define GUMBELSPEC_TESTING_AMX_EMULATOR_DECODE_H_

#include <cstdint>
#include <optional>

#include "testing/amx_emulator/tiles.h"

namespace gumbelspec::testing::amx {

enum class Operation { load_config, store_config, release, zero, load, store, multiply };

constexpr unsigned kNoRegister = 16;

// base + (index << shift) + displacement, registers numbered as the processor does (rax is 0).
struct Address {
  unsigned base = kNoRegister;
  unsigned index = kNoRegister;
  unsigned shift = 0;
  std::int32_t displacement = 0;
  bool is_ip_relative = false;   // to the next instruction
  bool is_thread_local = false;  // relative to fs
};

struct Instruction {
  Operation operation = Operation::release;
  unsigned length = 0;  // bytes
  unsigned tile = 0;    // the one that is written, or stored
  unsigned first = 0;   // sources of multiply
  unsigned second = 0;
  Signs signs = {};
  Address address = {};  // of load and store the index is the stride
};

// Returns: nothing if the bytes at code are no tile instruction that this knows (TDPBF16PS and the
// ones of later processors among them, and addresses of 32 bits).
[[nodiscard]] std::optional<Instruction> decode(const std::uint8_t* code);

}  // namespace gumbelspec::testing::amx

#endif  // GUMBELSPEC_TESTING_AMX_EMULATOR_DECODE_H_
