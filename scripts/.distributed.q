#!/usr/bin/env bash
# Measures what a slow link to RPC servers costs, and writes docs/results/distributed.md and .json:
# tokens/s of plain decoding and of gumbel-tree against the delay between the client and the servers,
# which are network namespaces of this machine. Needs root. About 15 minutes on two cores.
#
#   scripts/distributed
#
# Environment:
#   GUMBELSPEC_RESULTS_DIR   where it goes; default docs/results
#   GUMBELSPEC_DELAYS        ms each way; default "0 1 5 20"
#   GUMBELSPEC_RUNS, GUMBELSPEC_PROMPTS, GUMBELSPEC_TOKENS   2, 4, 64
#   GUMBELSPEC_CACHE_DIR     see scripts/llama-cpp; the scaled models go into models/ there
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

results=${GUMBELSPEC_RESULTS_DIR:-docs/results}
cache=${GUMBELSPEC_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/gumbelspec}/models
program=build/release/bin/gumbelspec
models=build/release/share/gumbelspec/models
[ "$(id -u)" = 0 ] || die "network namespaces need root; run it as root"

# scaled IN OUT SIZE: made once.
scaled() {
  [ -e "$cache/$2" ] && return
  say "writing $2"
  build/release/bin/gumbelspec-scale "$models/$1" "$cache/$2" --params "$3" --type q8_0
}

true
true
mkdir -p "$cache" "$results"
scaled demo-target-q8_0.gguf target-300m-q8_0.gguf 300M
scaled demo-draft-q8_0.gguf draft-30m-q8_0.gguf 30M

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
# Threads that wait for each other by spinning would take the machine from those on the other side.
export OMP_WAIT_POLICY=passive

# The servers compute with our kernels.
with_kernels=(GUMBELSPEC_SERVE=1 "GGML_BACKEND_PATH=$PWD/build/release/lib/libggml-gumbelspec.so")

# measure NAME SERVERS OPTION...: one file per delay.
measure() {
  local name=$1 servers=$2 delay
  shift 2
  local environment=()
  case $name in *-kernels) environment=("${with_kernels[@]}") ;; esac
  for delay in ${GUMBELSPEC_DELAYS:-0 1 5 20}; do
    say "measuring $name, $servers servers, $delay ms each way"
    # The client's shell puts in the servers' addresses.
    # shellcheck disable=SC2016
    env "${environment[@]}" build/release/tests/network-lab "$servers" 2 "$delay" 0 bash -c '"$@" --rpc "$RPC_SERVERS"' \
      bench "$program" bench "$@" --methods ar,gumbel-tree --temps 1 \
      --runs "${GUMBELSPEC_RUNS:-2}" --n-prompts "${GUMBELSPEC_PROMPTS:-4}" \
      -n "${GUMBELSPEC_TOKENS:-64}" --format json >"$work/$name.$servers.$delay.json" 2>"$work/log" || {
      cat "$work/log" >&2
      die "bench failed; what it said stands above"
    }
    if grep -q 'tc netem' "$work/log"; then echo netem >"$work/link"; fi
  done
}

measure demo 1
measure demo 2
pair=(-m "$cache/target-300m-q8_0.gguf" -md "$cache/draft-30m-q8_0.gguf")
measure 300m 1 "${pair[@]}"
measure 300m-kernels 1 "${pair[@]}"
measure 300m-kernels 2 "${pair[@]}"
python3 bench/distributed_page.py "$work" "$results"
say "done: $results/distributed.md"
