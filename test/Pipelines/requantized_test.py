"""Bytes that are dequantized, moved and quantized again: which of them are moved as bytes, and that every byte is what
onnx.reference says."""

import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

import checks

rng = np.random.default_rng(17)

# name: (moved as bytes, the model). x has every byte; f is not of bytes.
MODELS = {
    "transposed, reshaped, sliced": (True, """(uint8[n, 16, 16] x) => (uint8[n, c] y)
        <float s = {0.037}, uint8 z = {119}, int64[2] flat = {0, -1}, int64[1] a = {16}, int64[1] b = {250}, int64[1] one = {1}> {
            d = DequantizeLinear (x, s, z)
            t = Transpose <perm = [0, 2, 1]> (d)
            r = Reshape (t, flat)
            c = Slice (r, a, b, one)
            y = QuantizeLinear (c, s, z)
        }"""),
    "one index": (True, """(int8[n, 16, 16] x) => (int8[n, 16] y) <float s = {0.5}, int8 z = {-7}, int64 i = {3}> {
            d = DequantizeLinear (x, s, z)
            g = Gather <axis = 1> (d, i)
            y = QuantizeLinear (g, s, z)
        }"""),
    "joined, by other scales": (True, """(uint8[n, 16, 16] x, float[n, 3, 16] f) => (uint8[n, 35, 16] y)
        <float s = {0.037}, uint8 z = {119}, float s2 = {0.051}, uint8 z2 = {3}> {
            d = DequantizeLinear (x, s, z)
            e = DequantizeLinear (x, s2, z2)
            g = Sin (f)
            c = Concat <axis = 1> (d, e, g)
            y = QuantizeLinear (c, s, z)
        }"""),
    "filled up": (False, """(uint8[n, 16, 16] x) => (uint8[n, 16, 18] y)
        <float s = {0.037}, uint8 z = {119}, int64[6] pads = {0, 0, 1, 0, 0, 1}, float v = {1.5}> {
            d = DequantizeLinear (x, s, z)
            p = Pad (d, pads, v)
            y = QuantizeLinear (p, s, z)
        }"""),
    "another zero point": (False, """(uint8[n, 16, 16] x) => (uint8[n, 9, 16] y)
        <float s = {0.037}, uint8 z = {119}, uint8 z2 = {3}, int64[1] a = {1}, int64[1] b = {10}, int64[1] one = {1}> {
            d = DequantizeLinear (x, s, z)
            c = Slice (d, a, b, one)
            y = QuantizeLinear (c, s, z2)
        }"""),
    "a subnormal scale": (False, """(uint8[n, 16, 16] x) => (uint8[n, 9, 16] y)
        <float s = {1.0}, uint8 z = {0}, int64[1] a = {1}, int64[1] b = {10}, int64[1] one = {1}> {
            d = DequantizeLinear (x, s, z)
            c = Slice (d, a, b, one)
            y = QuantizeLinear (c, s, z)
        }"""),
    "floats that others read": (False, """(uint8[n, 16, 16] x) => (uint8[n, 16, 16] y, float[n, 16, 16] t)
        <float s = {0.037}, uint8 z = {119}> {
            d = DequantizeLinear (x, s, z)
            t = Transpose <perm = [0, 2, 1]> (d)
            y = QuantizeLinear (t, s, z)
        }"""),
    "a model's floats": (False, """(float[n, 16, 16] f) => (uint8[n, 16, 16] y) <float s = {0.037}, uint8 z = {119}> {
            t = Transpose <perm = [0, 2, 1]> (f)
            y = QuantizeLinear (t, s, z)
        }"""),
}


def moves_floats(text):
    """Whether a kernel that moves elements has some in f32."""
    kernels = text.split("kernel.func")[1:]
    moving = [k for k in kernels if "tensor.extract" in k or "graph.parallel" in k or "(d0, d2, d1)" in k or ", 3, d" in k]
    return any("xf32>" in k.split("\n")[0] or "f32" in k and "tensor.extract" in k for k in moving)


def test(work, name, as_bytes, text):
    model = onnx.parser.parse_model('<ir_version: 10, opset_import: ["" : 21]> m ' + text)
    if name == "a subnormal scale":  # which the text form cannot say
        model.graph.initializer[0].float_data[0] = 1e-44
    onnx.save(model, f"{work}/m.onnx")
    feeds = {"x": np.arange(512).astype(np.uint8).reshape(2, 16, 16), "f": rng.standard_normal((2, 3, 16), np.float32)}
    if name == "a model's floats":
        feeds["f"] = rng.standard_normal((2, 16, 16), np.float32)
    if name == "one index":
        feeds["x"] = feeds["x"].view(np.int8)
    feeds = {i.name: feeds[i.name] for i in model.graph.input}
    istc = [shutil.which("istc"), f"{work}/m.onnx"]
    kernels = subprocess.run([*istc, "--emit=kernel"], check=True, capture_output=True, text=True).stdout
    checks.check(moves_floats(kernels) != as_bytes, f"{name}: moved as {'bytes' if as_bytes else 'floats'}")
    names = [o.name for o in model.graph.output]
    want = ReferenceEvaluator(model).run(names, feeds)
    for more in [], ["--test-refuse-plans=1"], ["--target=cpu:x86-64-v2"]:
        subprocess.run([*istc, "-o", f"{work}/m.ist", *more], check=True)
        command = [shutil.which("ist-run"), f"{work}/m.ist"]
        for k, v in feeds.items():
            np.save(f"{work}/{k}.npy", v)
            command.append(f"--input={k}=@{work}/{k}.npy")
        subprocess.run(command + [f"--output={n}=@{work}/{n}.npy" for n in names], check=True)
        got = [np.load(f"{work}/{n}.npy") for n in names]
        checks.check(all(g.dtype == w.dtype and np.array_equal(g, w) for g, w in zip(got, want)), f"{name} {more}")


with tempfile.TemporaryDirectory(prefix="isthmus-requantized-") as work:
    for name, (as_bytes, text) in MODELS.items():
        test(work, name, as_bytes, text)
sys.exit(checks.failures > 0)
