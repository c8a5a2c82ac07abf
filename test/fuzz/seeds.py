#!/usr/bin/env python3
"""Writes a fuzzer's first corpus.

    test/fuzz/seeds.py importer DIR    models of the ONNX backend tests and broken ones
    test/fuzz/seeds.py artifact DIR    artifacts of small models, whole and in parts
"""

import argparse
import glob
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile

import onnx.backend.test

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LARGEST = 8192  # of a model
EVERY = 40  # one artifact for so many models


def models():
    """The paths of the small backend tests."""
    data = os.path.join(os.path.dirname(onnx.backend.test.__file__), "data")
    paths = sorted(glob.glob(os.path.join(data, "*", "*", "model.onnx")))
    return [p for p in paths if os.path.getsize(p) <= LARGEST]


def importer(build):
    for path in models():
        with open(path, "rb") as f:
            yield f.read()
    with tempfile.TemporaryDirectory() as broken:
        subprocess.run([sys.executable, os.path.join(ROOT, "test/Import/make_broken.py"), broken], check=True,
                       stdout=subprocess.DEVNULL)
        for path in glob.glob(os.path.join(broken, "**", "*.onnx"), recursive=True):
            # The explosion is cut off at its limit, but takes a second each time.
            if os.path.getsize(path) <= LARGEST and "explosion" not in path:
                with open(path, "rb") as f:
                    yield f.read()


def artifact(build):
    """As runtime/core/fuzz_artifact.cpp wants them: the first byte says what follows."""
    istc = os.path.join(build, "bin", "istc")
    if not os.path.exists(istc):
        sys.exit(f"error: {istc} is missing; build it first: ./scripts/build.sh istc")
    with tempfile.TemporaryDirectory() as work:
        out = os.path.join(work, "model.ist")
        for path in models()[::EVERY]:
            if subprocess.run([istc, path, "-o", out, "--target=cpu:x86-64-v2"], capture_output=True).returncode:
                continue  # not every backend test is supported
            with zipfile.ZipFile(out) as z:
                for name in z.namelist():
                    kind = b"\1" if name == "manifest" else b"\2" if "code" in name else None
                    if kind:
                        yield kind + z.read(name)
            with open(out, "rb") as f:
                whole = f.read()
            if len(whole) <= 1 << 18:
                yield b"\0" + whole


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["importer", "artifact"])
    parser.add_argument("folder")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    options = parser.parse_args()
    count = 0
    for data in {"importer": importer, "artifact": artifact}[options.what](options.build):
        with open(os.path.join(options.folder, hashlib.sha1(data).hexdigest()), "wb") as f:
            f.write(data)
        count += 1
    print(f"{count} seeds")


if __name__ == "__main__":
    main()
