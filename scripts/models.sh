#!/usr/bin/env bash
# Compiles real models and checks them against ONNX Runtime; the last line is
# `N passed, M failed`.
#   ./scripts/models.sh [--filter=REGEX] ...
source "$(dirname "$0")/lib.sh"

./scripts/install-deps.sh
[ -x "$BUILD/bin/istc" ] || ./scripts/build.sh
cd "$OLDPWD"
exec "$PYTHON" "$ROOT/test/models/models.py" --build "$BUILD" -j "$JOBS" "$@"
