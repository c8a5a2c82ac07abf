#!/usr/bin/env bash
# Configures (once) and builds. Arguments go to ninja: ./scripts/build.sh istc
source "$(dirname "$0")/lib.sh"

if [ ! -f "$BUILD/build.ninja" ]; then
  say "configuring $BUILD"
  mkdir -p "$BUILD"
  quiet "$BUILD/configure.log" env CC="${CC:-clang-$LLVM_MAJOR}" CXX="${CXX:-clang++-$LLVM_MAJOR}" \
    cmake -G Ninja -B "$BUILD" -DCMAKE_BUILD_TYPE="${ISTHMUS_BUILD_TYPE:-Release}"
fi
say "building with $JOBS jobs"
ninja -C "$BUILD" -j "$JOBS" "$@" >&2
say "built"
