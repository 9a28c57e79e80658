#include "testing/amx_emulator/amx_emulator.h"

#include <cpuid.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "testing/amx_emulator/decode.h"
#include "testing/amx_emulator/tiles.h"

namespace gumbelspec::testing::amx {
namespace {

constexpr int kGetPermission = 0x1022;  // ARCH_GET_XCOMP_PERM
constexpr int kAskPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
constexpr long kTileData = 18;          // the state that permission is asked for

// No allocation on first use, which a signal handler could not do.
__attribute__((tls_model("initial-exec"))) thread_local Tiles tiles;
std::atomic<unsigned long> n_instructions{0};
std::atomic<bool> is_permitted{false};
struct sigaction previous;

bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || ((d >> 24U) & 3U) != 3U) return false;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0) return false;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low >> 17U & 3U) == 3U;  // the system saves both parts of the state
}

std::uint64_t read_register(const ucontext_t& context, unsigned number) {
  static constexpr int kOrder[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15};
  return number == kNoRegister
             ? 0
             : static_cast<std::uint64_t>(context.uc_mcontext.gregs[kOrder[number]]);
}

// Of loads and stores of tiles the index is no part of it.
std::uint8_t* address_of(const ucontext_t& context, const Instruction& instruction) {
  const Address& a = instruction.address;
  const bool has_stride =
      instruction.operation == Operation::load || instruction.operation == Operation::store;
  std::uint64_t at = read_register(context, a.base);
  at += static_cast<std::uint64_t>(static_cast<std::int64_t>(a.displacement));
  if (!has_stride) at += read_register(context, a.index) << a.shift;
  if (a.is_ip_relative) {
    at += static_cast<std::uint64_t>(context.uc_mcontext.gregs[REG_RIP]) + instruction.length;
  }
  if (a.is_thread_local) {
    std::uint64_t base = 0;
    __asm__("mov %%fs:0, %0" : "=r"(base));
    at += base;
  }
  return reinterpret_cast<std::uint8_t*>(at);
}

Outcome execute(const ucontext_t& context, const Instruction& instruction) {
  const auto address = [&] { return address_of(context, instruction); };
  const auto stride = [&] {
    return static_cast<std::int64_t>(read_register(context, instruction.address.index)
                                     << instruction.address.shift);
  };
  switch (instruction.operation) {
    case Operation::load_config:
      return tiles.load_config(address());
    case Operation::store_config:
      tiles.store_config(address());
      return Outcome::ok;
    case Operation::release:
      tiles.release();
      return Outcome::ok;
    case Operation::zero:
      return tiles.zero(instruction.tile);
    case Operation::load:
      return tiles.load(instruction.tile, address(), stride());
    case Operation::store:
      return tiles.store(instruction.tile, address(), stride());
    case Operation::multiply:
      return tiles.multiply(instruction.tile, instruction.first, instruction.second,
                            instruction.signs);
  }
  return Outcome::undefined_opcode;
}

// The next ones too, as long as they are tile instructions: a signal costs more than most of them.
Outcome execute_from(ucontext_t& context) {
  auto& ip = context.uc_mcontext.gregs[REG_RIP];
  for (bool is_first = true;; is_first = false) {
    const auto instruction = decode(reinterpret_cast<const std::uint8_t*>(ip));
    if (!instruction) return is_first ? Outcome::undefined_opcode : Outcome::ok;
    const Outcome outcome = execute(context, *instruction);
    // What a later one has done wrong shows when it comes to it by itself.
    if (outcome != Outcome::ok) return is_first ? outcome : Outcome::ok;
    n_instructions.fetch_add(1, std::memory_order_relaxed);
    ip += static_cast<greg_t>(instruction->length);
  }
}

void on_illegal_instruction(int signal, siginfo_t* info, void* data) {
  Outcome outcome = Outcome::undefined_opcode;
  if (is_permitted) outcome = execute_from(*static_cast<ucontext_t*>(data));
  switch (outcome) {
    case Outcome::ok:
      return;
    case Outcome::general_protection:
      raise(SIGSEGV);
      return;
    case Outcome::undefined_opcode:
      break;
  }
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, data);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {
    sigaction(SIGILL, &previous, nullptr);  // and the instruction runs once more
  }
}

void report() {
  std::fprintf(stderr, "amx emulator: %lu instructions%s\n", amx_emulator_count(),
               amx_emulator_is_idle() ? ", the processor has AMX itself" : "");
}

__attribute__((constructor)) void install() {
  const char* wish = std::getenv("AMX_EMULATOR_REPORT");
  if (wish != nullptr && std::strcmp(wish, "1") == 0) std::atexit(report);
  if (has_amx()) return;
  struct sigaction action {};
  action.sa_sigaction = on_illegal_instruction;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGILL, &action, &previous);
}

long forward(long number, const long (&arguments)[6]) {
  long result = 0;
  register long a4 __asm__("r10") = arguments[3];
  register long a5 __asm__("r8") = arguments[4];
  register long a6 __asm__("r9") = arguments[5];
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2]), "r"(a4),
                     "r"(a5), "r"(a6)
                   : "rcx", "r11", "memory");
  if (result >= 0 || result < -4095) return result;
  errno = static_cast<int>(-result);
  return -1;
}

}  // namespace
}  // namespace gumbelspec::testing::amx

bool amx_emulator_is_idle() {
  static const bool kIsIdle = gumbelspec::testing::amx::has_amx();
  return kIsIdle;
}

unsigned long amx_emulator_count() {
  return gumbelspec::testing::amx::n_instructions.load(std::memory_order_relaxed);
}

// In front of the C library's.
extern "C" long syscall(long number, ...) noexcept {
  using namespace gumbelspec::testing::amx;
  long arguments[6] = {};
  va_list list;
  va_start(list, number);
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  if (number != SYS_arch_prctl || has_amx()) return forward(number, arguments);
  if (arguments[0] == kAskPermission && arguments[1] == kTileData) {
    is_permitted = true;
    return 0;
  }
  if (arguments[0] == kGetPermission) {
    auto* asked = reinterpret_cast<unsigned long*>(arguments[1]);
    unsigned long states = 0;
    arguments[1] = reinterpret_cast<long>(&states);
    forward(number, arguments);  // fails on systems that know no such states
    *asked = states | (is_permitted ? 3UL << 17U : 1UL << 17U);
    return 0;
  }
  return forward(number, arguments);
}
