#!/usr/bin/env bash
# Tries the packages of scripts/package in a fresh Debian 12 without a compiler: installs, runs,
# serves, builds the README's program, removes, and looks for what is left.
#
#   package_test.sh FOLDER_OF_PACKAGES      as root; needs the network, from where apt gets packages
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck disable=SC2016  # what stands in single quotes is for others to expand
. scripts/setup.sh
. tests/package/debian_root.sh

packages=$(realpath "$1")
[ "$(id -u)" = 0 ] || die "not root; a Debian in a folder needs chroot and mount"
for program in curl python3; do
  has_program "$program" || apt_get -- -y --no-install-recommends install "$program" ||
    die "$program is missing and cannot be installed"
done
in_own_namespace "$0" "$packages"

tmp=$(mktemp -d)
root=$tmp/debian
server=
cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  unmount_debian_root
  rm -rf --one-file-system "$tmp"
}
trap cleanup EXIT

step() { printf '== %s (%d s)\n' "$*" $SECONDS; }
fail() {
  printf 'FAILED: %s\n' "$*"
  exit 1
}
# A user with nothing: no home, nothing to write to.
as_nobody() { chroot --userspec=65534:65534 "$root" env -i PATH=/usr/bin:/bin "$@"; }
# Everything but what apt, dpkg and the loader note down for themselves.
files() {
  (cd "$root" && find . -xdev \( -path ./proc -o -path ./dev -o -path ./tmp -o -path ./packages -o \
    -path ./var/lib/apt -o -path ./var/lib/dpkg -o -path ./var/cache/apt -o -path ./var/log -o \
    -path ./var/cache/debconf -o -path ./var/cache/ldconfig \) -prune -o -print | sort)
}
expect_line() {
  if [ "$(wc -l <"$1")" != 1 ] || ! grep -qE "$2" "$1"; then
    cat "$1"
    fail "expected one line with '$2'"
  fi
}

step "a Debian 12 from this machine's own mirror"
make_debian_root
inside sh -c '! command -v cc && ! command -v c++' || fail "there is a compiler in it"
files >"$tmp/before"
mkdir "$root/packages"
cp "$packages"/*.deb "$root/packages/"

step "apt install ./gumbelspec_*.deb"
apt_inside install "/packages/$(cd "$packages" && echo gumbelspec_*.deb)"
inside dpkg-query -W -f '${Package} ${Version}, ${Installed-Size} KiB installed; needs ${Depends}\n' \
  gumbelspec
[ ! -e "$root/etc/systemd/system/multi-user.target.wants/gumbelspec.service" ] ||
  fail "the service is enabled"

step "the program"
inside gumbelspec --version
inside gumbelspec info
inside gumbelspec generate -p 'The old house' -n 64 --seed 7 --json >"$tmp/tree.json"
inside gumbelspec generate -p 'The old house' -n 64 --seed 7 --json --method ar >"$tmp/ar.json"
tokens() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["tokens"])' "$1"; }
[ "$(tokens "$tmp/tree.json")" = "$(tokens "$tmp/ar.json")" ] || fail "a seed has two texts"
[ "$(tokens "$tmp/ar.json" | wc -w)" = 64 ] || fail "not 64 tokens"
step "its self-test"
inside gumbelspec selftest --quick | tail -n 1 | tee "$tmp/selftest"
grep -q '^selftest passed' "$tmp/selftest" || fail "the self-test"

step "a user without a home, and without a place to write to"
as_nobody gumbelspec generate -p 'The old house' -n 64 --seed 7 --json >"$tmp/nobody.json" \
  2>"$tmp/nobody.log" || fail "generate without HOME"
[ "$(tokens "$tmp/nobody.json")" = "$(tokens "$tmp/ar.json")" ] || fail "another text without HOME"
[ ! -s "$tmp/nobody.log" ] || fail "it complains: $(cat "$tmp/nobody.log")"
as_nobody HOME=/nonexistent XDG_CACHE_HOME=/proc gumbelspec generate -p x -n 1 >"$tmp/out" \
  2>"$tmp/nobody.log" || fail "generate with an unwritable cache"

step "serve, and curl on the loopback device"
# Not through a function, which would be a shell between us and the server.
chroot --userspec=65534:65534 "$root" env -i PATH=/usr/bin:/bin gumbelspec serve --port 0 \
  >"$tmp/serve.log" 2>&1 &
server=$!
for ((i = 0; i < 300; i++)); do
  url=$(sed -n 's/.*\(http:\/\/127\.0\.0\.1:[0-9]*\).*/\1/p' "$tmp/serve.log" | head -n 1)
  [ -z "$url" ] || ! curl -sf "$url/health" >/dev/null || break
  kill -0 $server || fail "serve ended: $(cat "$tmp/serve.log")"
  sleep 0.1
done
curl -sf "$url/v1/completions" -d '{"prompt": "The old house", "max_tokens": 64, "seed": 7}' \
  >"$tmp/answer.json" || fail "no answer: $(cat "$tmp/serve.log")"
curl -sf -H "Accept: text/html" "$url/" >"$tmp/page.html"
grep -qi "<!doctype html" "$tmp/page.html" || fail "the page is not there"
python3 - "$tmp/answer.json" "$tmp/ar.json" <<'PY' || fail "serve gave another text than generate"
import json, sys
answer, text = (json.load(open(name)) for name in sys.argv[1:])
sys.exit(answer["choices"][0]["text"] != text["text"])
PY
kill -TERM $server
wait $server || fail "serve ended with status $?"
server=

step "llama.cpp's code for each kind of processor"
inside sh -c 'ls /usr/lib/gumbelspec/libggml-cpu-*.so' | sed 's/.*cpu-\(.*\)\.so/\1/' >"$tmp/variants"
n_run=0
while read -r variant; do
  if inside GUMBELSPEC_CPU_VARIANT="$variant" gumbelspec generate -p 'The old house' -n 64 --seed 7 \
    --method ar >"$tmp/out" 2>"$tmp/variant.log"; then
    n_run=$((n_run + 1))
  else
    expect_line "$tmp/variant.log" "$variant.*does not run on this processor"
  fi
done <"$tmp/variants"
echo "$n_run of $(wc -l <"$tmp/variants") run on this processor"
[ "$n_run" -ge 2 ] || fail "hardly any variant runs"

step "a damaged installation tells so in one line"
lib=$root/usr/lib/gumbelspec
mv "$lib/libggml-cpu-x64.so" "$tmp/kept"
! inside gumbelspec generate -p x -n 1 2>"$tmp/log" || fail "it runs without a library"
expect_line "$tmp/log" 'libggml-cpu-x64.so" is missing'
cp "$lib/libggml-cpu-sse42.so" "$lib/libggml-cpu-x64.so"
! inside gumbelspec generate -p x -n 1 2>"$tmp/log" || fail "it takes any library"
expect_line "$tmp/log" 'is not of the llama.cpp'
mv "$tmp/kept" "$lib/libggml-cpu-x64.so"
! inside GUMBELSPEC_CPU_VARIANT=486 gumbelspec generate -p x -n 1 2>"$tmp/log" ||
  fail "it takes any variant"
expect_line "$tmp/log" '"486", which is not in this build'

step "manual, completion, unit"
grep -q 'draft\\-max' "$root/usr/share/man/man1/gumbelspec.1" || fail "the manual has no options"
inside bash -c 'set -e
  . /usr/share/bash-completion/completions/gumbelspec
  COMP_WORDS=(gumbelspec generate --attention e) COMP_CWORD=3
  _gumbelspec
  [ "${COMPREPLY[*]}" = exact ]' || fail "bash does not complete --attention"
if has_program systemd-analyze; then
  # This machine's systemd, which knows neither the program nor its manual.
  sed 's,=/usr/bin/gumbelspec,=/bin/true,' "$root/usr/lib/systemd/system/gumbelspec.service" \
    >"$tmp/gumbelspec.service"
  systemd-analyze verify --man=no "$tmp/gumbelspec.service" >"$tmp/verify.log" 2>&1 || true
  if grep -q gumbelspec "$tmp/verify.log"; then
    cat "$tmp/verify.log"
    fail "systemd does not like the unit"
  fi
fi

step "two versions beside each other, from the archive, on read-only folders"
for version in one two; do
  mkdir -p "$root/opt/$version"
  tar -xzf "$packages"/*.tar.gz -C "$root/opt/$version" --strip-components 1
  mount --bind "$root/opt/$version" "$root/opt/$version"
  mount -o remount,bind,ro "$root/opt/$version"
  as_nobody "/opt/$version/bin/gumbelspec" generate -p 'The old house' -n 64 --seed 7 --json \
    >"$tmp/out" || fail "/opt/$version/bin/gumbelspec"
  [ "$(tokens "$tmp/out")" = "$(tokens "$tmp/ar.json")" ] || fail "/opt/$version has another text"
done
umount "$root/opt/one" "$root/opt/two"
rm -rf "$root/opt/one" "$root/opt/two"

step "the README's program, with the dev part and a compiler"
apt_inside install "/packages/$(cd "$packages" && echo gumbelspec-dev_*.deb)" g++ pkg-config
{
  echo '#include <iostream>'
  awk '/^```cpp/ { on = 1; next } /^```/ { on = 0 } on && /^#include/' README.md
  echo 'int main() {'
  awk '/^```cpp/ { on = 1; next } /^```/ { on = 0 } on && !/^#include/' README.md |
    sed 's,"target.gguf","/usr/share/gumbelspec/models/demo-target-q8_0.gguf",
         s,"draft.gguf","/usr/share/gumbelspec/models/demo-draft-q8_0.gguf",'
  echo '}'
} >"$root/tmp/readme.cc"
inside sh -c 'cd /tmp && c++ -std=c++20 -Wall -Werror readme.cc -o readme $(pkg-config --cflags --libs gumbelspec)' ||
  fail "the README's program does not compile"
inside /tmp/readme >"$tmp/readme.txt" || fail "the README's program does not run"
cat "$tmp/readme.txt"
echo
[ "$(wc -w <"$tmp/readme.txt")" -ge 10 ] || fail "the README's program prints hardly any text"

step "removal leaves nothing"
apt_inside purge --autoremove gumbelspec gumbelspec-dev g++ pkg-config
files >"$tmp/after"
diff "$tmp/before" "$tmp/after" >"$tmp/left" || {
  cat "$tmp/left"
  fail "the files above have stayed or gone"
}
step "passed"
