"""isthmus.compile: runs istc."""

import os
import re
import shutil
import subprocess

from . import _capi


class CompileError(RuntimeError):
    """What istc said; `codes` are its messages' stable codes (`istc --explain CODE`)."""

    def __init__(self, message):
        super().__init__(message)
        self.codes = re.findall(r"IST-[A-Z]\d+", message)


def _istc():
    named = os.environ.get("ISTHMUS_ISTC")
    if named:
        return named
    beside = os.path.dirname(_capi.library_path())
    for folder in (beside, os.path.join(beside, "bin"), os.path.join(beside, "..", "bin")):
        path = os.path.join(folder, "istc")
        if os.access(path, os.X_OK):
            return os.path.normpath(path)
    path = shutil.which("istc")
    if not path:
        raise CompileError("istc was not found beside libisthmus or in PATH; name it with ISTHMUS_ISTC=/path/to/istc")
    return path


def compile(model, target="cpu:native", output=None, shapes=None, args=()):
    """Compiles an ONNX file and returns the artifact's path.

    `target` is one target or several, `output` by default the model's path with the suffix .ist, `shapes` ranges or
    sizes of symbolic dims ({"batch": "1..32", "seq": 128}), `args` further arguments of istc.
    """
    model = os.fspath(model)
    output = os.path.splitext(model)[0] + ".ist" if output is None else os.fspath(output)
    targets = [target] if isinstance(target, str) else list(target)
    command = [_istc(), model, "-o", output, *(f"--target={t}" for t in targets),
               *(f"--shape={name}:{size}" for name, size in (shapes or {}).items()), *args]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as e:
        raise CompileError(f"{command[0]} cannot be run: {e}") from e
    if done.returncode:
        raise CompileError(done.stderr.strip() or f"istc ended with {done.returncode}")
    return output
