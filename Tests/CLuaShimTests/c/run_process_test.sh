#!/bin/sh
# Builds process_test.c and runs it: plain, or with address and undefined sanitizers.
# usage: run_process_test.sh [plain|address] [leases for hostile runners]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
shim="$here/../../../Sources/CLuaShim"
out=${TMPDIR:-/tmp}/handout-process-test
mkdir -p "$out"
folders="state values sandbox plan task process strategy"
sources="" includes=""
for folder in $folders; do
    includes="$includes -I$shim/$folder"
    for source in "$shim/$folder"/*.c; do sources="$sources $source"; done
done

# build NAME FLAGS
build() {
    # shellcheck disable=SC2086
    gcc -std=gnu11 -g -Wall -Wextra -Wno-unused-parameter -Wno-format-truncation $2 -I"$shim/include" $includes $(pkg-config --cflags lua5.4) \
        -o "$out/$1" "$here/process_test.c" $sources $(pkg-config --libs lua5.4) -lm -lpthread
}

for kind in ${1:-plain address}; do
    echo "== $kind"
    case $kind in
    plain) build plain -O1 && "$out/plain" ${2:-} </dev/null ;;
    address) build address "-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined" && "$out/address" ${2:-} </dev/null ;;
    esac
done
