"""Heads that share keys and values, repeated as exporters write it (Unsqueeze, Expand, Reshape): on targets that run
lanes no copy of keys and values is made, nor one of the result, whose heads and rows change places. Which kernels are
left, and their numbers on simulated GPUs; onnx.reference is the reference, and for what ONNX does not say the CPU.
"""

import os
import shutil
import sys
import tempfile

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

import checks

rng = np.random.default_rng(7)

# Four heads of keys and values, each for two of the queries'; two linear layers would be before and behind it.
REPEATED = """
<ir_version: 8, opset_import: ["" : 17]>
decoder ({type}[b, 8, {rows}, 24] q, {type}[b, 4, {keys}, 24] k, {type}[b, 4, {keys}, 24] v, {type}[{mask}] m) => ({type}[b, {rows}, 192] y)
<int64[1] two = {{2}}, int64[5] twice = {{1, 1, 2, 1, 1}}, int64[4] heads = {{0, 8, -1, 24}}, int64[3] joined = {{0, 0, 192}}> {{
  k1 = Unsqueeze (k, two)
  k2 = Expand (k1, twice)
  k3 = Reshape (k2, heads)
  kt = Transpose <perm = [0, 1, 3, 2]> (k3)
  v1 = Unsqueeze (v, two)
  v2 = Expand (v1, twice)
  v3 = Reshape (v2, heads)
  p = MatMul (q, kt)
  scaled = Mul (p, scale)
  masked = Add (scaled, m)
  w = Softmax <axis = -1> (masked)
  y0 = MatMul (w, v3)
  y1 = Transpose <perm = [0, 2, 1, 3]> (y0)
  y = Reshape (y1, joined)
}}
"""
# With the products that make the heads, and keys and values that are results as well.
LAYER = """
<ir_version: 8, opset_import: ["" : 17]>
decoder (float[b, s, 32] x, float[32, 192] wq, float[192] bias, float[32, 96] wk, float[32, 96] wv)
    => (float[b, s, 192] y, float[b, 4, s, 24] key, float[b, 4, s, 24] value)
<int64[1] two = {2}, int64[5] twice = {1, 1, 2, 1, 1}, int64[4] heads = {0, 8, -1, 24}, int64[3] joined = {0, 0, 192},
 int64[4] eight = {0, 0, 8, 24}, int64[4] four = {0, 0, 4, 24}> {
  q0 = MatMul (x, wq)
  q1 = Add (q0, bias)
  q2 = Reshape (q1, eight)
  q3 = Transpose <perm = [0, 2, 1, 3]> (q2)
  q = Tanh (q3)
  k0 = MatMul (x, wk)
  k1 = Reshape (k0, four)
  key = Transpose <perm = [0, 2, 1, 3]> (k1)
  v0 = MatMul (x, wv)
  v1 = Reshape (v0, four)
  value = Transpose <perm = [0, 2, 1, 3]> (v1)
  k2 = Unsqueeze (key, two)
  k3 = Expand (k2, twice)
  k4 = Reshape (k3, heads)
  kt = Transpose <perm = [0, 1, 3, 2]> (k4)
  v2 = Unsqueeze (value, two)
  v3 = Expand (v2, twice)
  v4 = Reshape (v3, heads)
  p = MatMul (q, kt)
  w = Softmax <axis = -1> (p)
  y0 = MatMul (w, v4)
  y1 = Transpose <perm = [0, 2, 1, 3]> (y0)
  y = Reshape (y1, joined)
}
"""
# One dim for batch and heads, and keys with the sequence first.
JOINED = """
<ir_version: 8, opset_import: ["" : 17]>
decoder (float[12, s, 16] q, float[2, t, 3, 16] k, float[2, t, 3, 24] v) => (float[12, s, 24] y)
<int64[1] last = {3}, int64[5] twice = {1, 1, 1, 2, 1}, int64[3] ofKeys = {12, -1, 16}, int64[3] ofValues = {12, -1, 24}> {
  k1 = Unsqueeze (k, last)
  k2 = Expand (k1, twice)
  k3 = Transpose <perm = [0, 2, 3, 1, 4]> (k2)
  k4 = Reshape (k3, ofKeys)
  kt = Transpose <perm = [0, 2, 1]> (k4)
  v1 = Unsqueeze (v, last)
  v2 = Expand (v1, twice)
  v3 = Transpose <perm = [0, 2, 3, 1, 4]> (v2)
  v4 = Reshape (v3, ofValues)
  p = MatMul (q, kt)
  w = Softmax <axis = -1> (p)
  y = MatMul (w, v4)
}
"""


def repeated(dtype="float", rows='"s"', keys='"t"', mask='b, 1, "s", "t"'):
    fields = {"type": dtype, "rows": rows, "keys": keys, "mask": mask}
    return REPEATED.format(**{n: x.replace('"', "") for n, x in fields.items()})


# name: model, sizes, the plans of its kernels in order. Scores in f16 are no attention.
# A reshape that drops a dim of 1 makes no heads.
DROPPED = """
<ir_version: 8, opset_import: ["" : 17]>
rows (float[1, s, 16] x, float[1, 16, 24] w) => (float[24, s] y) <int64[1] first = {0}> {
  p = MatMul (x, w)
  q = Squeeze (p, first)
  y = Transpose <perm = [1, 0]> (q)
}
"""
MODELS = {
    "prefill": (repeated(), [{"b": 2, "s": 9, "t": 70}, {"b": 1, "s": 33, "t": 32}], ["attention"]),
    "prefill_f16": (repeated("float16"), [{"b": 1, "s": 20, "t": 40}], ["matrix", "rows", "matrix"]),
    # A mask for each of the queries' heads.
    "masks_of_heads": (repeated(mask='8, "s", "t"'), [{"b": 2, "s": 11, "t": 19}], ["attention"]),
    "decode": (repeated(rows="1", mask='b, 1, 1, "t"'), [{"b": 2, "t": 70}, {"b": 1, "t": 1}], ["thin 2", "rows", "thin 2"]),
    "decode_f16": (repeated("float16", rows="1", mask='b, 1, 1, "t"'), [{"b": 3, "t": 37}], ["thin 2", "rows", "thin 2"]),
    # Keys and values by one kernel.
    "layer": (LAYER, [{"b": 2, "s": 35}], [("tiles", "matrix"), ("tiles", "matrix"), "attention"]),
    "joined": (JOINED, [{"s": 10, "t": 33}], ["attention"]),
    "dropped": (DROPPED, [{"s": 7}], [("tiles", "matrix"), "loops"]),
}
TARGETS = [("nvidia:sm_80", "sim:sm_80"), ("amd:gfx942", "sim:gfx942")]


def parse(text):
    model = onnx.parser.parse_model(text)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)
    # The text form has no constants of f16.
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0.2, dtype), "scale"))
    return model, dtype


def check(ok, text):
    checks.check(ok, text, quiet=True)


def main():
    istc, ist_run = shutil.which("istc"), shutil.which("ist-run")
    work = tempfile.mkdtemp()

    def at(name):
        return os.path.join(work, name)

    def compile_for(target, path):
        done = checks.call(istc, path, "-o", at("m.ist"), "--target=" + target, "--remarks")
        lines = [line.split(": ") for line in done.stderr.splitlines()]
        return [parts[-1] if len(parts) > 4 else parts[2] for parts in lines if "taken" in parts]

    def run(device, feeds, outputs):
        for name, x in feeds.items():
            np.save(at(name + ".npy"), x)
        done = checks.call(ist_run, at("m.ist"), "--device=" + device, *(f"--output={n}=@{at(n)}.npy" for n in outputs),
                           *(f"--input={n}=@{at(n)}.npy" for n in feeds))
        return [] if done.returncode else [np.load(at(n + ".npy")) for n in outputs]

    for name, (text, shapes, plans) in MODELS.items():
        model, dtype = parse(text)
        onnx.save(model, at("m.onnx"))
        reference = ReferenceEvaluator(parse(text.replace("float16", "float"))[0])
        for target, device in TARGETS:
            taken = compile_for(target, at("m.onnx"))
            check(len(taken) == len(plans) and all(got.startswith(plan) for got, plan in zip(taken, plans)),
                  f"{name}, {target}: kernels are {taken}, not {plans}")
            for sizes in shapes:
                feeds = {}
                for i in model.graph.input:
                    dims = [d.dim_value or sizes[d.dim_param] for d in i.type.tensor_type.shape.dim]
                    x = rng.standard_normal(dims)
                    if i.name == "m":  # some keys do not count, the first always does
                        x = np.where(rng.random(dims) < 0.3, -np.inf, x)
                        x[..., 0] = 0
                    feeds[i.name] = x.astype(dtype)
                wanted = reference.run(None, {n: x.astype(np.float32) for n, x in feeds.items()})
                for got, want in zip(run(device, feeds, [o.name for o in model.graph.output]), wanted):
                    worst = np.abs(got - want).max() / np.abs(want).max()
                    bound = 3e-3 if got.dtype == np.float16 else 1e-5
                    check(got.shape == want.shape and worst <= bound, f"{name}, {device} {sizes}: differs by {worst:.1e}")

    # Bodies that count the heads.
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "repeats.mlir")
    dims = {"q": [6, 13, 16], "k": [2, 13, 16], "v": [13, 8], "w": [5, 8]}
    feeds = {n: rng.standard_normal(d).astype(np.float32) for n, d in dims.items()}
    every = np.repeat(feeds["k"], 3, axis=0)
    want = [np.einsum("hmd,hnd->hmn", feeds["q"], every) + np.arange(6)[:, None, None] * np.arange(13),
            np.repeat(feeds["v"], 3, axis=0) @ feeds["w"].T]
    for target, device in TARGETS + [("cpu:native", "cpu")]:
        compile_for(target, path)
        for x, y in zip(want, run(device, feeds, ["y", "z"])):
            check(x.shape == y.shape and np.abs(x - y).max() <= 1e-4, f"repeats.mlir, {device}: differs")
    shutil.rmtree(work)
    print(f"{len(MODELS)} models, {checks.failures} failures")
    return checks.failures != 0


sys.exit(main())
