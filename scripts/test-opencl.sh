#!/usr/bin/env bash
# Runs the drivers' conformance suite, and a sample of the ONNX backend tests, on
# an OpenCL device for real: Intel's runtime for CPUs, installed into .venv-opencl
# (0.8 GB). With ISTHMUS_OPENCL_LIBRARY set, on the first device of that library.
# ISTHMUS_SAMPLE=N runs N of the ONNX tests, 150 when left out.
source "$(dirname "$0")/lib.sh"

if [ -z "${ISTHMUS_OPENCL_LIBRARY:-}" ]; then
  venv=$ROOT/.venv-opencl
  stamp=$(sha256sum scripts/requirements-opencl.txt | cut -d' ' -f1)
  if [ "$(cat "$venv/.isthmus-stamp" 2>/dev/null)" != "$stamp" ]; then
    say "pip: installing Intel's OpenCL runtime into .venv-opencl"
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    log=$(mktemp)
    PIP_DISABLE_PIP_VERSION_CHECK=1 quiet "$log" "$venv/bin/python" -m pip install -r scripts/requirements-opencl.txt
    rm -f "$log"
    echo "$stamp" > "$venv/.isthmus-stamp"
  fi
  # Its libraries find each other there, and its loader the driver.
  export LD_LIBRARY_PATH=$venv/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export OCL_ICD_FILENAMES=$venv/lib/libintelocl.so
  export ISTHMUS_OPENCL_LIBRARY=$venv/lib/libOpenCL.so.1
fi

[ -x "$BUILD/bin/ist-cts" ] || die "build first: ./scripts/build.sh"
"$BUILD/bin/ist-run" --list-devices | grep '^opencl' | tee /dev/stderr | grep -qv 'not available' ||
  die "there is no OpenCL device"
say "ist-cts on opencl:0"
"$BUILD/bin/ist-cts" --device=opencl:0
say "ONNX backend tests on opencl:0"
./scripts/conformance.sh --target=intel:spirv64 --device=opencl:0 --sample="${ISTHMUS_SAMPLE:-150}"
