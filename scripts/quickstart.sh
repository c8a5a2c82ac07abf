#!/usr/bin/env bash
# From nothing to a model's answer: installs what is missing, builds, compiles
# magika's ONNX model and asks it which kind of file the README is.
#   ./scripts/quickstart.sh [FILE]
source "$(dirname "$0")/lib.sh"

file=$(cd "$OLDPWD" && realpath -e "${1:-$ROOT/README.md}") || die "no such file: $1"
./scripts/install-deps.sh
./scripts/build.sh istc ist-run
exec "$PYTHON" scripts/quickstart.py --build "$BUILD" "$file"
