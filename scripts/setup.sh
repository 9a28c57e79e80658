# What scripts/build, scripts/demo and scripts/test share. Sourced, in the project's root.
# shellcheck shell=bash

say() { printf 'gumbelspec: %s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

has_program() { command -v "$1" >/dev/null 2>&1; }
has_cxx20() { has_program c++ && c++ -std=c++20 -E -x c++ /dev/null >/dev/null 2>&1; }
# has_header NAME: the compiler finds it, wherever it is installed.
has_header() {
  has_program c++ && printf '#include <%s>\n' "$1" | c++ -std=c++20 -E -x c++ - >/dev/null 2>&1
}

# The Debian packages of what is missing, one per line; what counts is that the thing is there, not
# who put it there.
missing_packages() {
  has_program git || echo git
  has_program cmake || echo cmake
  has_program ninja || echo ninja-build
  has_cxx20 || echo g++
  has_program pkg-config || echo pkg-config
  has_program curl || echo curl
  [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -n "${SSL_CERT_FILE:-}" ] || echo ca-certificates
  has_header Random123/philox.h || echo librandom123-dev
  has_header CLI/CLI.hpp || echo libcli11-dev
  has_header nlohmann/json.hpp || echo nlohmann-json3-dev
  has_header openssl/ssl.h || echo libssl-dev
  # Line editing of gumbelspec chat.
  has_header histedit.h || echo libedit-dev
  has_header prometheus/registry.h || echo prometheus-cpp-dev
  has_header gtest/gtest.h || echo libgtest-dev
  has_header gmock/gmock.h || echo libgmock-dev
  has_header benchmark/benchmark.h || echo libbenchmark-dev
}

# apt_get [sudo] -- ARGUMENT...: with its own progress on a terminal, otherwise silent unless it fails.
apt_get() {
  local command=()
  while [ "$1" != -- ]; do
    command+=("$1")
    shift
  done
  shift
  command+=(env DEBIAN_FRONTEND=noninteractive apt-get "$@")
  if [ -t 2 ]; then
    "${command[@]}" >&2
    return
  fi
  local log status=0
  log=$(mktemp)
  "${command[@]}" >"$log" 2>&1 || status=$?
  [ $status = 0 ] || tail -n 20 "$log" >&2
  rm -f "$log"
  return $status
}

install_missing_packages() {
  local missing as_root=()
  mapfile -t missing < <(missing_packages)
  if [ ${#missing[@]} = 0 ]; then
    say "all packages are there"
    return
  fi
  say "missing packages: ${missing[*]}"
  has_program apt-get ||
    die "this system has no apt-get; install what these Debian packages hold: ${missing[*]}"
  if [ "$(id -u)" != 0 ]; then
    has_program sudo || die "not root and no sudo; run as root: apt-get install ${missing[*]}"
    say "installing them with sudo, which may ask for your password"
    as_root=(sudo)
  else
    say "installing them"
  fi
  apt_get "${as_root[@]}" -- -qq update || die "apt-get update failed; its output stands above"
  apt_get "${as_root[@]}" -- -y --no-install-recommends install "${missing[@]}" ||
    die "apt-get install failed; its output stands above"
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} = 0 ] ||
    die "still missing after the installation: ${missing[*]}; is CC, CXX or CPATH set?"
}

# run_cmake ARGUMENT...: cmake's own chatter only when it fails; llama.cpp's progress passes through.
run_cmake() {
  local log
  log=$(mktemp)
  if ! cmake "$@" >"$log"; then
    cat "$log" >&2
    rm -f "$log"
    die "cmake failed; its output stands above"
  fi
  rm -f "$log"
}

# build_release TARGET...: all, or the named targets, in build/release.
build_release() {
  local jobs=${GUMBELSPEC_JOBS:-$(getconf _NPROCESSORS_ONLN)}
  say "configuring"
  run_cmake --preset release
  say "building (release)"
  if [ -t 2 ]; then
    NINJA_STATUS='gumbelspec: [%f/%t] ' ninja -C build/release -j "$jobs" "$@" >&2 ||
      die "the build failed; the compiler's message stands above"
  else
    NINJA_STATUS='[%f/%t] ' ninja -C build/release -j "$jobs" "$@" 2>&1 | build_progress ||
      die "the build failed; the compiler's message stands above"
  fi
}

# Of ninja's output, a line for every fifth of the way, and everything that is not progress.
build_progress() {
  local line last=0
  while IFS= read -r line; do
    if [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
      if ((5 * BASH_REMATCH[1] / BASH_REMATCH[2] > last)); then
        last=$((5 * BASH_REMATCH[1] / BASH_REMATCH[2]))
        say "$((20 * last)) % built"
      fi
    elif [[ $line != 'ninja: '[En]* ]]; then
      printf '%s\n' "$line" >&2
    fi
  done
}
