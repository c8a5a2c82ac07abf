#!/usr/bin/env bash
# Fuzzes what reads untrusted files, under AddressSanitizer: the ONNX importer
# and the artifact reader. Builds into build-fuzz/, which also keeps what was
# learned (corpus-*) and found (found-*).
#   ./scripts/fuzz.sh importer|artifact [SECONDS]
source "$(dirname "$0")/lib.sh"

what=${1:-} seconds=${2:-600}
case $what in importer | artifact) ;; *) die "usage: scripts/fuzz.sh importer|artifact [SECONDS]" ;; esac
[ -x "$PYTHON" ] || ./scripts/install-deps.sh
tools=$BUILD
fuzz=$ROOT/build-fuzz
if [ ! -f "$fuzz/build.ninja" ]; then
  mkdir -p "$fuzz"
  quiet "$fuzz/configure.log" env CC="clang-$LLVM_MAJOR" CXX="clang++-$LLVM_MAJOR" \
    cmake -G Ninja -B "$fuzz" -DCMAKE_BUILD_TYPE=Release -DISTHMUS_FUZZERS=ON -DISTHMUS_TESTS=OFF
fi
say "building fuzz-$what"
ninja -C "$fuzz" -j "$JOBS" "fuzz-$what" >&2

case $what in importer) largest=8192 ;; artifact) largest=262144 ;; esac
corpus=$fuzz/corpus-$what found=$fuzz/found-$what
mkdir -p "$corpus" "$found"
say "seeds"
"$PYTHON" test/fuzz/seeds.py "$what" "$corpus" --build "$tools"
# The shared LLVM libraries are not instrumented: containers and arenas that
# cross the border are not poisoned on one side only, and what LLVM keeps until
# the process ends is no leak of ours.
export ASAN_OPTIONS=detect_container_overflow=0:allow_user_poisoning=0:detect_leaks=0:allocator_may_return_null=1
say "fuzz-$what for $seconds s"
TIMEFORMAT="fuzz-$what: %U s of user and %S s of system time"
time "$fuzz/bin/fuzz-$what" "$corpus" -artifact_prefix="$found/" -max_total_time="$seconds" -max_len=$largest \
  -timeout=60 -rss_limit_mb=4096 -print_final_stats=1 "${@:3}"
