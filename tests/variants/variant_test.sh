#!/usr/bin/env bash
# One CPU variant of ggml, and the instruction set of our kernels that such a processor has: the
# program takes it, and tests of exactness pass with it.
#
#   variant_test.sh VARIANT PROGRAM TEST_PROGRAM...       77: it does not run on this processor
set -euo pipefail

variant=$1 program=$2
shift 2
export GUMBELSPEC_CPU_VARIANT=$variant
case $variant in
  x64 | sse42 | sandybridge | ivybridge | piledriver) export GUMBELSPEC_KERNELS_ISA=off ;;
  haswell | skylakex | cannonlake) export GUMBELSPEC_KERNELS_ISA=avx2 ;;
  alderlake) export GUMBELSPEC_KERNELS_ISA=avxvnni ;;
  *) export GUMBELSPEC_KERNELS_ISA=avx512 ;;
esac

if ! info=$("$program" info 2>&1); then
  echo "$info"
  [[ $info == *"$variant"*'does not run on this processor'* ]] || exit 1
  exit 77
fi
grep -E '^(cpu code|kernels) ' <<<"$info"
grep -qx "cpu code  llama.cpp's for $variant" <<<"$info" || {
  echo "FAILED: the program does not say that it uses $variant"
  exit 1
}
if [ $GUMBELSPEC_KERNELS_ISA != off ]; then
  grep -q "^kernels   $GUMBELSPEC_KERNELS_ISA " <<<"$info" || {
    echo "FAILED: our kernels are not those for $GUMBELSPEC_KERNELS_ISA"
    exit 1
  }
fi

"$program" selftest --quick
# ggml's code alone. The distributions are those of the in-memory model, whatever the code.
[ $GUMBELSPEC_KERNELS_ISA = off ] || "$program" selftest --quick --cases ratio-test --no-kernels
# With AVX but no AVX2 ggml sums several columns in another order than one: nothing is promised, the
# self-test above compared what is, and the program has to say so. The tests are about bits.
case $variant in
  sandybridge | ivybridge | piledriver)
    grep -q '^same seed the text may depend on the method' <<<"$info" || {
      echo "FAILED: the program promises a seed's text with ggml's code for $variant"
      exit 1
    }
    exit 0
    ;;
esac
for test in "$@"; do "$test" --gtest_brief=1; done
