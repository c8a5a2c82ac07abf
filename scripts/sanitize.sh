#!/usr/bin/env bash
# Builds the runtime alone with sanitizers, beside the usual build, and runs its
# tests; the last line counts them.
#   ./scripts/sanitize.sh [address|thread] [CTEST_ARGUMENTS...]
# ISTHMUS_TARGETS names what to build, if not all.
source "$(dirname "$0")/lib.sh"

kind=${1:-address}
[ $# -eq 0 ] || shift
case $kind in address | thread) ;; *) die "no sanitizer '$kind': address or thread" ;; esac
dir=$BUILD-$kind
if [ ! -f "$dir/build.ninja" ]; then
  say "configuring $dir"
  mkdir -p "$dir"
  quiet "$dir/configure.log" env CC="${CC:-clang-$LLVM_MAJOR}" CXX="${CXX:-clang++-$LLVM_MAJOR}" \
    cmake -G Ninja -B "$dir" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DISTHMUS_COMPILER=OFF -DISTHMUS_SANITIZE="$kind"
fi
say "building with the $kind sanitizer"
ninja -C "$dir" -j "$JOBS" ${ISTHMUS_TARGETS:-} >&2
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 TSAN_OPTIONS=halt_on_error=1:allocator_may_return_null=1
ctest --test-dir "$dir" --output-on-failure -j "$JOBS" "$@"
