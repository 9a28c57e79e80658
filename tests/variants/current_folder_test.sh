#!/usr/bin/env bash
# Libraries that somebody has put into the folder where a program is started are not loaded.
#
#   current_folder_test.sh MODULE PROGRAM RPC_SERVER
set -euo pipefail

module=$1 program=$2 rpc_server=$3
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for kind in cpu-evil blas rpc cuda; do cp "$module" "$tmp/libggml-$kind.so"; done
cd "$tmp"

# opened ARGUMENT...: the libraries of this folder that the loader opens for a program.
opened() { LD_DEBUG=files "$@" 2>&1 | grep -F "$tmp" | grep 'file=' || true; }

# The loader's messages would tell it.
control=$(LD_DEBUG=files LD_PRELOAD="$tmp/libggml-blas.so" "$program" --version 2>&1 |
  grep -c "file=$tmp" || true)
[ "$control" -gt 0 ] || {
  echo "FAILED: the loader's messages do not tell which files it opens"
  exit 1
}
for command in "$program info" "$program generate -n 1 -p x" "$rpc_server --help"; do
  # shellcheck disable=SC2086
  if [ -n "$(opened $command)" ]; then
    opened $command
    echo "FAILED: $command loads what lies in the current folder"
    exit 1
  fi
done
echo passed
