"""What the tests here share: counted checks, and the Python package."""

import os
import shutil
import subprocess
import sys

failures = 0


def check(ok, text, quiet=False):
    """Prints and counts; with `quiet` only what fails is printed."""
    global failures
    if not ok or not quiet:
        print(("ok: " if ok else "FAILED: ") + text)
    failures += not ok


def call(*command):
    """Runs a command, which shall end well; its CompletedProcess."""
    done = subprocess.run(command, capture_output=True, text=True)
    check(done.returncode == 0, " ".join(map(os.path.basename, command)) + " " + done.stderr[:600], quiet=True)
    return done


def import_isthmus():
    """The package of this source tree, over the library built beside istc."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    os.environ["ISTHMUS_LIBRARY"] = os.path.join(os.path.dirname(shutil.which("istc")), "..", "lib", "libisthmus.so")
    sys.path.insert(0, os.path.join(root, "python"))
    import isthmus

    return isthmus
