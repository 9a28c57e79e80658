#!/usr/bin/env bash
# Code compiled with the flags of an instruction set must not be what the linker picks for the rest of
# the program, or for another set: an object of such code defines the table of its set, and nothing
# else that the linker sees. (Inline functions and constant tables of templates would be such things.)
#
#   instruction_sets_test.sh NM OBJECT...
set -euo pipefail
nm=$1
shift
checked=0 status=0
for object in "$@"; do
  case $object in
    */kernels_*.cc.o | */gemm_*.cc.o) ;;
    *) continue ;;
  esac
  checked=$((checked + 1))
  others=$("$nm" --demangle --defined-only --extern-only "$object" |
    sed -n 's/^[0-9a-f]* [A-Za-z] //p' |
    grep -Ev '^gumbelspec::kernels::(kA(vx|mx)[A-Za-z0-9]*|gemm_[a-z0-9]+\(.*)$' || true)
  [ -z "$others" ] || {
    printf '%s also defines:\n%s\n' "$object" "$others"
    status=1
  }
done
[ $checked -ge 3 ] || { echo "only $checked objects of vector code"; status=1; }
exit $status
