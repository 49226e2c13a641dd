#!/bin/sh
# Builds sandbox_test.c in three ways and runs it: plain, with address and undefined sanitizers, with the thread sanitizer.
# usage: run_sandbox_test.sh [plain|address|thread] [test]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
shim="$here/../../../Sources/CLuaShim"
out=${TMPDIR:-/tmp}/handout-sandbox-test
mkdir -p "$out"
clang=$(command -v clang || echo "$(dirname "$(readlink -f "$(command -v swift)")")/clang")
# The thread sanitizer of Swift's clang knows libdispatch, and needs it.
swift_libraries=$(dirname "$(readlink -f "$clang")")/../lib/swift/linux
sources=""
for source in "$shim"/state/*.c "$shim"/values/*.c "$shim"/sandbox/*.c; do
    sources="$sources $source"
done

build() {
    # shellcheck disable=SC2086
    "$2" -std=gnu11 -g -Wall -Wextra $3 -I"$shim/include" -I"$shim/state" -I"$shim/values" -I"$shim/sandbox" -I"$shim/plan" -I"$shim/task" $(pkg-config --cflags lua5.4) \
        -o "$out/$1" "$here/sandbox_test.c" $sources $(pkg-config --libs lua5.4) ${4:-} -lm -lpthread
}

for kind in ${1:-plain address thread}; do
    case $kind in
    plain) build plain gcc "-O1" ;;
    address) build address gcc "-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined" ;;
    thread)
        extra=""
        [ -e "$swift_libraries/libdispatch.so" ] &&
            extra="-L$swift_libraries -Wl,-rpath,$swift_libraries -ldispatch -lBlocksRuntime"
        build thread "$clang" "-O1 -fsanitize=thread" "$extra"
        ;;
    esac
    echo "== $kind"
    "$out/$kind" ${2:-}
done
