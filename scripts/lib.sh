# Shared by the scripts here; source it, do not run it.
#
# After it: the working directory is the repository's root, errors end the
# script, $JOBS is how many things may run at once, $PYTHON is the project's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
BUILD=${ISTHMUS_BUILD_DIR:-$ROOT/build}
JOBS=${ISTHMUS_JOBS:-$(nproc)}
VENV=$ROOT/.venv
PYTHON=$VENV/bin/python
LLVM_MAJOR=$(cut -d. -f1 cmake/llvm_version.txt)

if [ -t 2 ]; then bold=$'\e[1m' red=$'\e[31m' plain=$'\e[0m'; else bold='' red='' plain=''; fi

# A line that says what happens now, with the seconds since the script began.
say() { printf '%s[%4ds]%s %s\n' "$bold" "$SECONDS" "$plain" "$*" >&2; }
die() { printf '%serror:%s %s\n' "$red" "$plain" "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "this needs root: run it as root or install sudo ($*)"; fi
}

# quiet LOGFILE COMMAND...: the output goes to the file and is shown on failure.
quiet() {
  local log=$1; shift
  if ! "$@" >"$log" 2>&1; then tail -n 60 "$log" >&2; die "failed: $* (all of it in $log)"; fi
}
