#include "testing/amx_emulator/decode.h"

#include <cstring>

namespace gumbelspec::testing::amx {
namespace {

// The prefix that a VEX encoding implies.
constexpr unsigned kNone = 0;
constexpr unsigned k66 = 1;
constexpr unsigned kF3 = 2;
constexpr unsigned kF2 = 3;

struct Vex {
  bool r = false, x = false, b = false;  // the registers' fourth bits
  unsigned register_v = 0;
  unsigned implied = kNone;
  unsigned opcode = 0;
};

struct ModRm {
  explicit ModRm(std::uint8_t byte) : mod(byte >> 6U), reg((byte >> 3U) & 7U), rm(byte & 7U) {}
  [[nodiscard]] bool is_memory() const { return mod != 3; }
  unsigned mod, reg, rm;
};

// Three bytes C4, map 0F38, W0, 128 bits, then the opcode.
std::optional<Vex> read_vex(const std::uint8_t* code) {
  if (code[0] != 0xC4 || (code[1] & 0x1FU) != 2 || (code[2] & 0x84U) != 0) return std::nullopt;
  Vex vex;
  vex.r = (code[1] & 0x80U) == 0;
  vex.x = (code[1] & 0x40U) == 0;
  vex.b = (code[1] & 0x20U) == 0;
  vex.register_v = ~(static_cast<unsigned>(code[2]) >> 3U) & 15U;
  vex.implied = code[2] & 3U;
  vex.opcode = code[3];
  return vex;
}

// Returns: the bytes from the ModRM byte on that the address takes.
unsigned read_address(const std::uint8_t* code, const Vex& vex, Address& address) {
  const ModRm modrm(code[0]);
  unsigned length = 1;
  unsigned base = modrm.rm;
  if (modrm.rm == 4) {
    const std::uint8_t sib = code[length++];
    base = sib & 7U;
    const unsigned index = ((sib >> 3U) & 7U) | (vex.x ? 8U : 0U);
    address.index = index == 4 ? kNoRegister : index;
    address.shift = sib >> 6U;
  }
  const bool has_no_base = modrm.mod == 0 && base == 5;
  address.is_ip_relative = has_no_base && modrm.rm == 5;
  address.base = has_no_base ? kNoRegister : base | (vex.b ? 8U : 0U);
  if (modrm.mod == 1) {
    address.displacement = static_cast<std::int8_t>(code[length++]);
  } else if (modrm.mod == 2 || has_no_base) {
    std::memcpy(&address.displacement, code + length, sizeof address.displacement);
    length += 4;
  }
  return length;
}

std::optional<Operation> operation_of(const Vex& vex, const ModRm& modrm) {
  const bool has_v = vex.register_v != 0;
  switch (vex.opcode) {
    case 0x49:
      if (has_v) return std::nullopt;
      if (vex.implied == kF2 && modrm.mod == 3 && modrm.rm == 0) return Operation::zero;
      if (modrm.reg != 0 || vex.r) return std::nullopt;
      if (vex.implied == kNone) {
        if (modrm.is_memory()) return Operation::load_config;
        if (modrm.rm == 0) return Operation::release;
      }
      if (vex.implied == k66 && modrm.is_memory()) return Operation::store_config;
      return std::nullopt;
    case 0x4B:
      // The address has to have an index byte, which holds the stride.
      if (has_v || !modrm.is_memory() || modrm.rm != 4) return std::nullopt;
      if (vex.implied == kF2 || vex.implied == k66) return Operation::load;
      if (vex.implied == kF3) return Operation::store;
      return std::nullopt;
    case 0x5E:
      if (modrm.is_memory()) return std::nullopt;
      return Operation::multiply;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<Instruction> decode(const std::uint8_t* code) {
  Instruction result;
  while (*code == 0x64) {
    result.address.is_thread_local = true;
    ++code;
    ++result.length;
  }
  const std::optional<Vex> vex = read_vex(code);
  if (!vex) return std::nullopt;
  const ModRm modrm(code[4]);
  const std::optional<Operation> operation = operation_of(*vex, modrm);
  if (!operation) return std::nullopt;
  result.operation = *operation;
  result.length += 4;
  result.tile = modrm.reg | (vex->r ? 8U : 0U);
  if (modrm.is_memory()) {
    result.length += read_address(code + 4, *vex, result.address);
  } else {
    result.length += 1;
    result.first = modrm.rm | (vex->b ? 8U : 0U);
    result.second = vex->register_v;
    // TDPBSSD, TDPBSUD, TDPBUSD, TDPBUUD
    result.signs = {vex->implied == kF2 || vex->implied == kF3,
                    vex->implied == kF2 || vex->implied == k66};
  }
  return result;
}

}  // namespace gumbelspec::testing::amx
