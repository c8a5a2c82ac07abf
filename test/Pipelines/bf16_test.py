"""bf16 arithmetic, casts and convolutions link on every CPU target, also where no
instruction converts to bf16, and give the right numbers here."""

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


def rounded(x):
    """To the nearest bf16, ties to even."""
    b = x.astype(np.float32).view(np.uint32)
    return ((b + 0x7fff + (b >> 16 & 1)) & 0xffff0000).view(np.float32)


def convolved(x, w, pad):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    return rounded(np.einsum("nchwij,ocij->nohw", np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3)), w))


def convolutions(at, istc, run):
    """In blocks of channels, and channels first where they are few."""
    failures, rng = 0, np.random.default_rng(16)
    x = rng.standard_normal((1, 3, 9, 8)).astype(np.float32)
    w = [rounded(rng.standard_normal(shape).astype(np.float32)) for shape in ((32, 3, 3, 3), (48, 32, 1, 1), (5, 48, 3, 3))]
    given = [helper.make_tensor(f"w{i}", T.BFLOAT16, v.shape, bits(v).tobytes(), raw=True) for i, v in enumerate(w)]
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["b"], to=T.BFLOAT16), helper.make_node("Conv", ["b", "w0"], ["c"], pads=[1] * 4),
         helper.make_node("Relu", ["c"], ["r"]), helper.make_node("Conv", ["r", "w1"], ["d"]),
         helper.make_node("Conv", ["d", "w2"], ["e"]), helper.make_node("Cast", ["e"], ["y"], to=T.FLOAT)],
        "convolutions", [helper.make_tensor_value_info("x", T.FLOAT, x.shape)], [helper.make_tensor_value_info("y", T.FLOAT, None)], given)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10), at("c.onnx"))
    np.save(at("x.npy"), x)
    want = convolved(convolved(np.maximum(convolved(rounded(x), w[0], 1), 0), w[1], 0), w[2], 0)
    for options in (["cpu:native"], ["cpu:native", "--test-refuse-plans=1"], ["cpu:native", "--test-refuse-plans=2"],
                    ["cpu:x86-64-v3"], ["cpu:x86-64-v2"], ["cpu:aarch64"], ["cpu:riscv64"]):
        done = subprocess.run([istc, at("c.onnx"), "-o", at("c.ist"), "--target=" + options[0], *options[1:]], capture_output=True, text=True)
        ok, said = done.returncode == 0, done.stderr[:300]
        if ok and options[0] not in ("cpu:aarch64", "cpu:riscv64"):
            done = subprocess.run([run, at("c.ist"), "--input=@" + at("x.npy"), "--output=@" + at("y.npy")], capture_output=True, text=True)
            far = np.abs(np.load(at("y.npy")) - want).max() / np.abs(want).max() if done.returncode == 0 else np.inf
            ok, said = far < 8e-3, f"off by {far:.1e} of the largest; {done.stderr[:300]}"
        print(f"{'ok' if ok else 'FAILED'}: convolutions, {' '.join(options)}{'' if ok else ': ' + said}")
        failures += not ok
    return failures


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
        failures += convolutions(at, istc, run)
    return failures != 0


sys.exit(main())
