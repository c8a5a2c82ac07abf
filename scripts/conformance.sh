#!/usr/bin/env bash
# Runs the ONNX backend tests; the last line is `N passed, M failed, K excluded`.
#   ./scripts/conformance.sh --target=cpu:native --json=FILE [--filter=REGEX] ...
source "$(dirname "$0")/lib.sh"

[ -x "$PYTHON" ] || ./scripts/install-deps.sh
[ -x "$BUILD/bin/istc" ] || ./scripts/build.sh
cd "$OLDPWD"
exec "$PYTHON" "$ROOT/scripts/conformance.py" --build "$BUILD" -j "$JOBS" "$@"
