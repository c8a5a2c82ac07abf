"""bf16 arithmetic and casts link on every CPU target, also where no instruction
converts to bf16, and give the right numbers here."""

import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper

X = np.array([0.0, 1.5, -2.75, 100.0, -29952.0, 7.0], np.float32)  # exact in bf16
CASTS = {
    "double to integer": (T.BFLOAT16, [("Cast", T.DOUBLE), ("Floor", None), ("Cast", T.INT64)], np.floor(X).astype(np.int64)),
    "sum, then double": (T.BFLOAT16, [("Sum", None), ("Cast", T.DOUBLE), ("Cast", T.INT32)], np.trunc(2 * X).astype(np.int32)),
    "integer to bf16": (T.INT64, [("Cast", T.BFLOAT16), ("Sum", None), ("Cast", T.FLOAT)], 2 * np.trunc(X)),
    "double to bf16": (T.DOUBLE, [("Cast", T.BFLOAT16), ("Exp", None), ("Cast", T.BOOL)], np.array([1, 1, 1, 1, 0, 1], bool)),
    "unsigned": (T.BFLOAT16, [("Abs", None), ("Cast", T.UINT16)], np.abs(np.trunc(X)).astype(np.uint16)),
}


def bits(x):
    return (x.view(np.uint32) >> 16).astype(np.uint16)


def main():
    failures = 0
    istc, run = shutil.which("istc"), shutil.which("ist-run")
    with tempfile.TemporaryDirectory() as work:
        def at(name):
            return os.path.join(work, name)

        for name, (kind, steps, want) in CASTS.items():
            nodes, value, now = [], "x", kind
            for i, (op, to) in enumerate(steps):
                last = "y" if i == len(steps) - 1 else f"v{i}"
                nodes.append(helper.make_node(op, [value] * (2 if op == "Sum" else 1), [last], **({"to": to} if to else {})))
                value, now = last, to or now
            graph = helper.make_graph(nodes, "bf16", [helper.make_tensor_value_info("x", kind, X.shape)],
                                      [helper.make_tensor_value_info("y", now, X.shape)])
            onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), at("m.onnx"))
            np.save(at("x.npy"), {T.BFLOAT16: bits(X), T.INT64: np.trunc(X).astype(np.int64), T.DOUBLE: X.astype(np.float64)}[kind])
            for target in ("cpu:aarch64", "cpu:riscv64", "cpu:x86-64-v3", "cpu:x86-64-v2", "cpu:native"):
                done = subprocess.run([istc, at("m.onnx"), "-o", at("m.ist"), "--target=" + target], capture_output=True, text=True)
                ok, said = done.returncode == 0, done.stderr[:300]
                if ok and target in ("cpu:x86-64-v2", "cpu:native"):
                    done = subprocess.run([run, at("m.ist"), "--input=@" + at("x.npy"), "--output=@" + at("y.npy")], capture_output=True, text=True)
                    got = np.load(at("y.npy"))
                    ok, said = done.returncode == 0 and got.dtype == want.dtype and (got == want).all(), f"{got} {want} {done.stderr}"
                print(f"{'ok' if ok else 'FAILED'}: {name}, {target}{'' if ok else ': ' + said}")
                failures += not ok
    return failures != 0


sys.exit(main())
