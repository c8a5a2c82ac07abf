"""Attention on targets that run lanes: one kernel, and its numbers on simulated GPUs.

Decomposed and as ONNX's operator; with masks, causal, grouped heads, sizes
below, at and above a tile's; with the plan, and with every plan refused.
onnx.reference is the reference.
"""

import os
import shutil
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import checks

rng = np.random.default_rng(5)
F32, F16 = TensorProto.FLOAT, TensorProto.FLOAT16


def model(nodes, inputs, weights=()):
    graph = helper.make_graph(
        nodes, "attention", [helper.make_tensor_value_info(n, t, dims) for n, (t, dims) in inputs.items()],
        [helper.make_tensor_value_info("y", next(iter(inputs.values()))[0], None)], list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


def attention(inputs, dtype, heads, keys, kv_heads, dim=32, value_dim=32, **attributes):
    dims = {"q": ["b", heads, "s", dim], "k": ["b", kv_heads, keys, dim], "v": ["b", kv_heads, keys, value_dim], "m": ["s", keys]}
    return model([helper.make_node("Attention", inputs, ["y"], **attributes)], {n: (dtype, dims[n]) for n in inputs})


# Scores, scale, mask and softmax one by one, as exporters write them.
DECOMPOSED = model(
    [helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]), helper.make_node("MatMul", ["q", "kt"], ["p"]),
     helper.make_node("Div", ["p", "eight"], ["scaled"]), helper.make_node("Add", ["scaled", "m"], ["masked"]),
     helper.make_node("Softmax", ["masked"], ["w"], axis=-1), helper.make_node("MatMul", ["w", "v"], ["y"])],
    {"q": (F32, ["b", 2, "s", 24]), "k": (F32, ["b", 2, "t", 24]), "v": (F32, ["b", 2, "t", 40]), "m": (F32, ["b", 1, 1, "t"])},
    [numpy_helper.from_array(np.float32(8), "eight")])
# name: model, sizes, and what the plan says on sm_80
MODELS = {
    "decomposed": (DECOMPOSED, [{"b": 2, "s": 9, "t": 70}, {"b": 1, "s": 65, "t": 64}], "attention 64x32 ring 2"),
    "causal": (attention(["q", "k", "v"], F32, 2, "s", 2, is_causal=1), [{"b": 1, "s": 50}], "attention 64x32 ring 2"),
    "causal_f16": (attention(["q", "k", "v"], F16, 2, "s", 2, is_causal=1), [{"b": 1, "s": 50}],
                   "attention 64x32 m16n8k16.f32.f16 ring 2"),
    "grouped": (attention(["q", "k", "v", "m"], F32, 6, "t", 3), [{"b": 2, "s": 11, "t": 33}], "attention 64x32 ring 2"),
    "grouped_f16": (attention(["q", "k", "v", "m"], F16, 4, "t", 1, dim=64, value_dim=48), [{"b": 1, "s": 17, "t": 40}],
                    "attention 64x32 m16n8k16.f32.f16 ring 2"),
    "wide": (attention(["q", "k", "v"], F32, 1, "t", 1, dim=128, value_dim=128), [{"b": 1, "s": 20, "t": 37}],
             "attention 32x16 ring 1"),
}
TARGETS = [("nvidia:sm_80", "sim:sm_80"), ("amd:gfx942", "sim:gfx942")]
# f16 only, by matrix units of other shapes.
UNITS = [("amd:gfx1100", "sim:gfx1100"), ("amd:gfx1201", "sim:gfx1201")]


def check(ok, text):
    checks.check(ok, text, quiet=True)


def main():
    istc, ist_run = shutil.which("istc"), shutil.which("ist-run")
    work = tempfile.mkdtemp()

    def at(name):
        return os.path.join(work, name)

    for name, (m, shapes, plan) in MODELS.items():
        onnx.save(m, at("m.onnx"))
        reference = ReferenceEvaluator(m)
        for target, device in TARGETS + UNITS * name.endswith("f16"):
            for options in [[], ["--test-refuse-plans=1"]][:1 if (target, device) in UNITS else 2]:
                done = checks.call(istc, at("m.onnx"), "-o", at("m.ist"), "--target=" + target, "--remarks", *options)
                if not options:
                    taken = [line for line in done.stderr.splitlines() if "k_attention" in line and "taken" in line]
                    check(len(taken) == 1, f"{name}, {target}: {len(taken)} kernels of attention, not 1")
                    if target.startswith("amd"):
                        unit = "m16n16k16.f32.f16" if name.endswith("f16") else "m16n16k4.f32.f32"
                        check(all(f" {unit} ring " in line for line in taken), f"{name}, {target}: {taken}, not {unit}")
                    if target == "nvidia:sm_80":
                        check(any(line.endswith(plan) for line in taken), f"{name}: the plan is {taken}, not {plan}")
                for sizes in shapes if not options else shapes[:1]:
                    feeds = {}
                    for i in m.graph.input:
                        dims = [d.dim_value or sizes[d.dim_param] for d in i.type.tensor_type.shape.dim]
                        x = rng.standard_normal(dims)
                        if i.name == "m":  # some keys do not count, the first always does
                            x = np.where(rng.random(dims) < 0.3, -np.inf, 0)
                            x[..., 0] = 0
                        feeds[i.name] = x.astype(helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type))
                        np.save(at(i.name + ".npy"), feeds[i.name])
                    if checks.call(ist_run, at("m.ist"), "--device=" + device, f"--output=y=@{at('y.npy')}",
                                   *(f"--input={n}=@{at(n)}.npy" for n in feeds)).returncode:
                        continue
                    (want,) = reference.run(None, {n: x.astype(np.float32) for n, x in feeds.items()})
                    got = np.load(at("y.npy"))
                    worst = np.abs(got - want).max() / np.abs(want).max()
                    bound = 3e-3 if got.dtype == np.float16 else 1e-5
                    check(worst <= bound, f"{name}, {device} {options} {sizes}: differs by {worst:.1e}")
    shutil.rmtree(work)
    print(f"{len(MODELS)} models, {checks.failures} failures")
    return checks.failures != 0


sys.exit(main())
