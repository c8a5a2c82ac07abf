#!/bin/sh
# Installs the runtime from the build folder $1 and builds and runs a C program
# against what was installed.
set -e
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work/prefix" >/dev/null
cmake -G Ninja -S "$here" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/build" >/dev/null
"$work/build/user"
python3 - "$work/prefix" <<'EOF2'
import glob, sys
found = glob.glob(sys.argv[1] + "/lib*/**/python/isthmus/__init__.py", recursive=True)
assert found, "the Python package is not installed"
EOF2
for tool in ist-run ist-info ist-bench; do
  "$work/prefix/bin/$tool" --help >/dev/null
done
"$work/prefix/bin/ist-cts" --device=cpu --level=1
sim=$work/prefix/lib/isthmus/libisthmus-driver-sim.so
[ ! -e "$1/lib/libisthmus-driver-sim.so" ] || "$work/prefix/bin/ist-cts" --plugin="$sim" --device=sim --level=3
