#!/usr/bin/env bash
# Installs into a prefix, moves the prefix, and builds and runs a program against it, once with
# find_package and once with pkg-config.
#
#   install_test.sh CMAKE BUILD_DIR CXX LIBDIR
set -euo pipefail

cmake=$1 build=$2 cxx=$3 libdir=$4
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# Nothing may be found by accident.
unset LD_LIBRARY_PATH CMAKE_PREFIX_PATH PKG_CONFIG_PATH

step() { printf '== %s\n' "$*"; }
fail() {
  printf 'FAILED: %s\n' "$*"
  exit 1
}

step "install, and move the prefix"
"$cmake" --install "$build" --prefix "$tmp/first" >"$tmp/install.log"
prefix="$tmp/moved here"
mv "$tmp/first" "$prefix"
models=$prefix/share/gumbelspec/models
pair=("$models/demo-target-q8_0.gguf" "$models/demo-draft-q8_0.gguf")

for file in bin/gumbelspec bin/gumbelspec-scale share/gumbelspec/plot.py \
  share/gumbelspec/prompts/openings.jsonl "$libdir/gumbelspec/libllama.so" "$libdir/pkgconfig/gumbelspec.pc" \
  "$libdir/cmake/gumbelspec/gumbelspec-config.cmake" include/gumbelspec/gumbelspec.h \
  "$libdir/libgumbelspec_c.so.1" "$libdir/pkgconfig/gumbelspec-c.pc" include/gumbelspec_c.h \
  share/licenses/gumbelspec/llama.cpp.txt share/licenses/gumbelspec/Random123.txt; do
  [ -e "$prefix/$file" ] || fail "$file is not installed"
done
[ -z "$(find "$prefix" -name llama.h -o -name 'ggml*.h' -o -name Random123)" ] ||
  fail "a header of llama.cpp or Random123 is installed; they are private"
if grep -rlF -e "$build" -e "$tmp/first" "$prefix/bin" "$prefix/$libdir/cmake" \
  "$prefix/$libdir/pkgconfig"; then
  fail "the files above name the build tree or the first prefix"
fi

step "the installed program, with the installed models, from another folder"
(cd / && "$prefix/bin/gumbelspec" generate -p 'The old house' -n 64 --seed 7) \
  >"$tmp/program.txt" 2>"$tmp/program.log" || {
  cat "$tmp/program.log"
  fail "the installed program does not run"
}
cat "$tmp/program.txt"

step "a consumer with find_package"
# Ninja: the set-up installs no make.
CXX=$cxx "$cmake" -G Ninja -S "$here/consumer" -B "$tmp/consumer" -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_BUILD_TYPE=Release >"$tmp/configure.log" 2>&1 || {
  cat "$tmp/configure.log"
  fail "find_package(gumbelspec) does not work"
}
"$cmake" --build "$tmp/consumer"
"$tmp/consumer/consumer" "${pair[@]}" >"$tmp/find_package.txt"
cat "$tmp/find_package.txt"

step "a consumer with pkg-config"
# pkg-config does not escape the blank in the folder's name.
ln -s "$prefix" "$tmp/plain"
flags=$(PKG_CONFIG_PATH="$tmp/plain/$libdir/pkgconfig" pkg-config --cflags --libs gumbelspec)
# shellcheck disable=SC2086
"$cxx" -std=c++20 "$here/consumer/consumer.cc" -o "$tmp/by_pkg_config" $flags
"$tmp/by_pkg_config" "${pair[@]}" >"$tmp/pkg_config.txt"

step "the C example with find_package and with pkg-config"
mkdir "$tmp/c_consumer"
cp "$here/../../bindings/c/example.c" "$tmp/c_consumer"
cat >"$tmp/c_consumer/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.24)
project(c_consumer LANGUAGES C CXX)
find_package(gumbelspec 0.1 REQUIRED COMPONENTS c)
add_executable(c_consumer example.c)
target_link_libraries(c_consumer PRIVATE gumbelspec::c)
END
CXX=$cxx "$cmake" -G Ninja -S "$tmp/c_consumer" -B "$tmp/c_build" -DCMAKE_PREFIX_PATH="$prefix" \
  >"$tmp/configure.log" 2>&1 || {
  cat "$tmp/configure.log"
  fail "find_package(gumbelspec COMPONENTS c) does not work"
}
"$cmake" --build "$tmp/c_build"
"$tmp/c_build/c_consumer" "${pair[@]}" >"$tmp/c_find_package.txt"
flags=$(PKG_CONFIG_PATH="$tmp/plain/$libdir/pkgconfig" pkg-config --cflags --libs gumbelspec-c)
# shellcheck disable=SC2086
cc -std=c89 -pedantic-errors "$here/../../bindings/c/example.c" -o "$tmp/c_by_pkg_config" $flags
"$tmp/c_by_pkg_config" "${pair[@]}" >"$tmp/c_pkg_config.txt"
cmp <(head -n 1 "$tmp/c_find_package.txt") <(head -n 1 "$tmp/c_pkg_config.txt")

if command -v python3 >/dev/null; then
  step "the installed Python package, from another folder"
  (cd / && env -u GUMBELSPEC_LIBRARY PYTHONPATH="$prefix/lib/python3/dist-packages" \
    PYTHONDONTWRITEBYTECODE=1 python3 -c "import gumbelspec
assert gumbelspec._library.LIB._name.startswith('$prefix')
print(gumbelspec.Pair.demo().generate('The old house', seed=7, max_tokens=64).result().text)") \
    >"$tmp/python.txt"
  diff <(head -c 200 "$tmp/python.txt") <(head -c 213 "$tmp/program.txt" | tail -c 200)
fi

step "both consumers print the same text"
cmp "$tmp/find_package.txt" "$tmp/pkg_config.txt"
[ "$(wc -w <"$tmp/program.txt")" -ge 10 ] || fail "the installed program prints hardly any text"
[ "$(wc -w <"$tmp/find_package.txt")" -ge 10 ] || fail "the consumers print hardly any text"
step "passed"
