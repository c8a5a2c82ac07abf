#!/usr/bin/env bash
# Installs what is missing, builds and runs all tests; the last line counts
# them. ISTHMUS_SAMPLE=N runs only N of the ONNX backend tests.
source "$(dirname "$0")/lib.sh"

./scripts/install-deps.sh
./scripts/build.sh
out=$BUILD/test-results
mkdir -p "$out"
passed=0 failed=0

# part NAME COMMAND...: one part of the tests; its output is shown and kept.
part() {
  local name=$1; shift
  say "$name"
  status=0
  "$@" 2>&1 | tee "$out/$name.log" || status=$?
}
# count PASSED FAILED: what the part says. One that fails without naming a
# failure, or that ran nothing, is a failure too.
count() {
  local p=${1:-0} f=${2:-0}
  [ "$f" != 0 ] || [ "$status" = 0 ] || f=1
  [ "$p" != 0 ] || [ "$f" != 0 ] || f=1
  passed=$((passed + p)) failed=$((failed + f))
}
number() { grep -oE "$1" "$2" | tail -n 1 | grep -oE '[0-9]+' | head -n 1 || true; }

# Runtime, tools and everything else that CMake knows; lit is counted test by test.
part ctest ctest --test-dir "$BUILD" --output-on-failure -j "$JOBS" -E '^lit$'
all=$(number '[0-9]+ tests failed out of [0-9]+' "$out/ctest.log" || true)
total=$(grep -oE 'out of [0-9]+' "$out/ctest.log" | tail -n 1 | grep -oE '[0-9]+' || echo 0)
count $((total - ${all:-0})) "${all:-0}"

ctest --test-dir "$BUILD" -R '^(size|duplicates)$' -V | sed -n 's/^[0-9]*: //p' | grep -E 'bytes|tokens' || true # for the record

# The runtime with sanitizers; the rest of ctest by hand: scripts/sanitize.sh.
for kind in address thread; do
  part "sanitize-$kind" env ISTHMUS_TARGETS=isthmus-runtime-tests ./scripts/sanitize.sh "$kind" -R '^runtime$'
  count $((status == 0 ? 1 : 0)) $((status == 0 ? 0 : 1))
done

part lit "$VENV/bin/lit" -v "$BUILD/test"
count "$(number 'Passed *: *[0-9]+' "$out/lit.log")" "$(number '(Failed|Unresolved|Timed Out) *: *[0-9]+' "$out/lit.log")"

part conformance ./scripts/conformance.sh --target=cpu:native --json="$out/conformance.json" ${ISTHMUS_SAMPLE:+--sample="$ISTHMUS_SAMPLE"}
count "$(number '^[0-9]+ passed' "$out/conformance.log")" "$(number '[0-9]+ failed' "$out/conformance.log")"

# GPUs' code is assembled and checked; ISTHMUS_GPU_SAMPLE=0 means all tests.
for target in nvidia:sm_80 amd:gfx942 intel:spirv64; do
  name=assembled-${target%%:*}
  part "$name" ./scripts/conformance.sh --compile-only --target="$target" --sample="${ISTHMUS_GPU_SAMPLE:-150}" --seed="$RANDOM"
  count "$(number '^[0-9]+ passed' "$out/$name.log")" "$(number '[0-9]+ failed' "$out/$name.log")"
done

# And executed, on simulated GPUs; the samples leave out what takes minutes there.
if [ -e "$BUILD/lib/libisthmus-driver-sim-gpu.so" ]; then
  for target in nvidia:sm_80 amd:gfx942 amd:gfx1100 amd:gfx1201; do
    chip=${target#*:}
    part "sim-$chip" ./scripts/conformance.sh --target="$target" \
      --device="sim:$chip" --sample="${ISTHMUS_SIM_SAMPLE:-150}" --seed="$RANDOM" \
      --exclude='alexnet|densenet|inception|resnet50|shufflenet|squeezenet|vgg19|zfnet'
    count "$(number '^[0-9]+ passed' "$out/sim-$chip.log")" "$(number '[0-9]+ failed' "$out/sim-$chip.log")"
  done
  part sim-model ./scripts/models.sh --target=nvidia:sm_80 --device=sim:sm_80 --filter='^magika$'
  count "$(number '^[0-9]+ passed' "$out/sim-model.log")" "$(number '[0-9]+ failed' "$out/sim-model.log")"
fi

part random-graphs "$PYTHON" test/conformance/random_graphs.py --build "$BUILD" -j "$JOBS" --count "${ISTHMUS_GRAPHS:-200}"
bad=$(number '[0-9]+ bad' "$out/random-graphs.log")
count "$(number '[0-9]+ good' "$out/random-graphs.log")" "$bad"

# Graphs with one wrong operator each: the test above must see every one.
part spoiled-graphs "$PYTHON" test/conformance/random_graphs.py --build "$BUILD" -j "$JOBS" --count 30 --spoil
count "$(number '[0-9]+ good' "$out/spoiled-graphs.log")" "$(number '[0-9]+ bad' "$out/spoiled-graphs.log")"

part models ./scripts/models.sh
count "$(number '^[0-9]+ passed' "$out/models.log")" "$(number '[0-9]+ failed' "$out/models.log")"

part quickstart "$PYTHON" scripts/quickstart.py --build "$BUILD" README.md
count $((status == 0 ? 1 : 0)) $((status == 0 ? 0 : 1))

say "logs are in $out"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
