// Runs programs that use Intel AMX (tiles, products of bytes) on processors without it: a shared
// library that is linked or preloaded (LD_PRELOAD) and that computes each such instruction when it
// raises SIGILL. It is an emulator after the manual and no processor: it shows what the
// instructions give, nothing of their speed, and one instruction takes some microseconds. Where the
// processor has AMX it does nothing, and the same tests run on the real thing.
//
// It also answers arch_prctl(ARCH_REQ_XCOMP_PERM) for programs that ask through syscall(), without
// which the instructions are refused, as Linux does. Illegal instructions of other kinds end the
// program as they would without it, also through a handler that was there before. Not emulated:
// CPUID, BF16 and later extensions, XSAVE's view of the tiles.
//
// With AMX_EMULATOR_REPORT=1 a line on standard error says at the end how many instructions it ran.
#ifndef GUMBELSPEC_TESTING_AMX_EMULATOR_AMX_EMULATOR_H_
#define GUMBELSPEC_TESTING_AMX_EMULATOR_AMX_EMULATOR_H_

extern "C" {

// Whether this processor and system have AMX themselves.
bool amx_emulator_is_idle();
// Tile instructions computed so far, by all threads.
unsigned long amx_emulator_count();
}

#endif  // GUMBELSPEC_TESTING_AMX_EMULATOR_AMX_EMULATOR_H_
