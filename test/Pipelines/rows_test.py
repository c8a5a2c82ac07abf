"""Softmax, norms and reductions: how many kernels each is, and their numbers.

Every model runs with all plans, with plans refused (so that the fused groups
come down the ladder), and for a target with other vectors; over row counts and
row lengths below, at and above a vector's. ONNX Runtime is the reference.
"""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import checks

rng = np.random.default_rng(11)
F32, F16, BOOL, I32 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BOOL, TensorProto.INT32
NUMPY = {F32: np.float32, F16: np.float16, BOOL: np.bool_, I32: np.int32}
SIZES = {"n": [1, 7], "m": [1, 5, 16, 203], "b": [2], "s": [9, 64]}


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), output.split(), output.split()[0], **attributes)


def weight(name, *shape):
    return numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)


def scalar(name, value, dtype=np.float32):
    return numpy_helper.from_array(np.array(value, dtype), name)


NORM = [weight("scale", 70), weight("bias", 70), scalar("eps", 1e-5), scalar("two", 2)]
# name: nodes, inputs, outputs, initializers, kernels
MODELS = {
    "softmax": ([node("Softmax", "x", "y", axis=-1)], {"x": (F32, ["n", "m"])}, {"y": F32}, [], 1),
    "log_softmax": ([node("LogSoftmax", "x", "y", axis=-1)], {"x": (F32, ["n", "m"])}, {"y": F32}, [], 1),
    "softmax_fixed": ([node("Softmax", "x", "y", axis=-1)], {"x": (F32, ["n", 77])}, {"y": F32}, [], 1),
    "softmax_channels": ([node("Softmax", "x", "y", axis=1)], {"x": (F32, ["n", 5, 6, 7])}, {"y": F32}, [], 1),
    "softmax_channels_m": ([node("Softmax", "x", "y", axis=0)], {"x": (F32, [6, "m"])}, {"y": F32}, [], 1),
    "softmax_f16": ([node("Softmax", "x", "y", axis=-1)], {"x": (F16, ["n", "m"])}, {"y": F16}, [], 1),
    "scores": ([node("Mul", "x eight", "a"), node("Where", "mask a low", "c"), node("Softmax", "c", "y", axis=-1)],
               {"x": (F32, ["b", 3, "s", "s"]), "mask": (BOOL, ["b", 1, 1, "s"])}, {"y": F32},
               [scalar("eight", 0.125), scalar("low", -1e9)], 1),
    "layer_norm": ([node("Add", "x z", "a"), node("LayerNormalization", "a scale bias", "y", axis=-1)],
                   {"x": (F32, ["n", 70]), "z": (F32, ["n", 70])}, {"y": F32}, NORM, 1),
    "residual": ([node("Add", "x z", "a"), node("LayerNormalization", "a scale bias", "y", axis=-1)],
                 {"x": (F32, ["n", 70]), "z": (F32, ["n", 70])}, {"y": F32, "a": F32}, NORM, 1),
    "norm_by_hand": ([node("ReduceMean", "x", "m", axes=[-1]), node("Sub", "x m", "c"), node("Pow", "c two", "p"),
                      node("ReduceMean", "p", "v", axes=[-1]), node("Add", "v eps", "e"), node("Sqrt", "e", "r"),
                      node("Div", "c r", "d"), node("Mul", "d scale", "f"), node("Add", "f bias", "y")],
                     {"x": (F32, ["n", 70])}, {"y": F32}, NORM, 1),
    "rms_norm": ([node("Mul", "x x", "q"), node("ReduceMean", "q", "m", axes=[-1]), node("Add", "m eps", "e"),
                  node("Sqrt", "e", "r"), node("Div", "x r", "d"), node("Mul", "d scale", "y")],
                 {"x": (F32, ["n", 70])}, {"y": F32, "r": F32}, NORM, 1),
    "two_norms": ([node("Softmax", "x", "a", axis=-1), node("Add", "a x", "c"), node("Softmax", "c", "y", axis=-1)],
                  {"x": (F32, ["n", "m"])}, {"y": F32}, [], 1),
    "instance_norm": ([node("InstanceNormalization", "x s5 b5", "y")], {"x": (F32, ["n", 5, 6, 7])}, {"y": F32},
                      [weight("s5", 5), weight("b5", 5)], 1),
    "group_norm": ([node("GroupNormalization", "x s6 b6", "y", num_groups=3)], {"x": (F32, ["n", 6, 5, 7])},
                   {"y": F32}, [weight("s6", 6), weight("b6", 6)], 1),
    "mean_hw": ([node("ReduceMean", "x", "y", axes=[2, 3])], {"x": (F32, ["n", 6, 7, 9])}, {"y": F32}, [], 1),
    "max_channels": ([node("ReduceMax", "x", "y", axes=[1])], {"x": (F32, ["n", 9, 5, "m"])}, {"y": F32}, [], 1),
    "l2_all": ([node("ReduceL2", "x", "r", axes=[0, 1]), node("Div", "x r", "y")], {"x": (F32, ["n", "m"])},
               {"y": F32}, [], 1),
    "sum_i32": ([node("ReduceSum", "x", "y", keepdims=0)], {"x": (I32, ["n", "m"])}, {"y": I32}, [], 1),
    "short": ([node("Softmax", "x", "y", axis=-1)], {"x": (F32, ["n", 3])}, {"y": F32}, [], None),
    # Whether z broadcasts is known when it is there; looked up lane by lane, or one element for all.
    "broadcast": ([node("Add", "x z", "a"), node("Softmax", "a", "y", axis=-1)],
                  {"x": (F32, ["n", "m"]), "z": (F32, ["n", "k"])}, {"y": F32}, [], 1),
    # Few long rows: over parts first, then over the parts.
    "long_sum": ([node("Mul", "x x", "q"), node("ReduceSum", "q axis1", "y", keepdims=0)], {"x": (F32, [3, 98304])},
                 {"y": F32}, [scalar("axis1", [1], np.int64)], 2),
    "long_softmax": ([node("Softmax", "x", "y", axis=-1)], {"x": (F32, [2, 65537 * 2])}, {"y": F32}, [], 6),
    "long_columns": ([node("ReduceMax", "x", "y", axes=[0], keepdims=0)], {"x": (F32, [65536, 5])}, {"y": F32}, [], 2),
    "long_i32": ([node("ReduceSum", "x", "y", keepdims=0)], {"x": (I32, [66, 1001])}, {"y": I32}, [], 2),
    # Reductions over different dims do not share rows.
    "two_axes": ([node("ReduceMax", "x", "a", axes=[0]), node("Sub", "x a", "c"), node("ReduceSum", "c one", "y")],
                 {"x": (F32, ["n", "m"])}, {"y": F32}, [scalar("one", [1], np.int64)], 2),
}


def check(ok, text):
    checks.check(ok, text, quiet=True)


def drawn(dtype, shape):
    x = rng.standard_normal(shape) * 3
    return x > 0 if dtype == BOOL else x.astype(NUMPY[dtype])


def save(path, model):
    nodes, inputs, outputs, weights, _ = model
    used = {name for n in nodes for name in n.input}
    graph = helper.make_graph(
        nodes, "rows_test", [helper.make_tensor_value_info(name, t, dims) for name, (t, dims) in inputs.items()],
        [helper.make_tensor_value_info(name, t, None) for name, t in outputs.items()],
        [w for w in weights if w.name in used])
    opset = 21 if nodes[0].op_type == "GroupNormalization" else 17
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), path)


def main():
    with tempfile.TemporaryDirectory() as work:
        run_models(work)
    print(f"{len(MODELS)} models, {checks.failures} failures")
    return checks.failures != 0


def run_models(work):
    istc, ist_run = shutil.which("istc"), shutil.which("ist-run")

    def at(name):
        return os.path.join(work, name)

    def call(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        check(done.returncode == 0, " ".join(map(os.path.basename, command)) + " " + done.stderr[:600])
        return done

    def run(name, model, session, sizes, what):
        feeds = {i: drawn(t, [sizes.get(d, d) for d in dims]) for i, (t, dims) in model[1].items()}
        command = [ist_run, at("m.ist")]
        for i, x in feeds.items():
            np.save(at(i + ".npy"), x)
            command.append(f"--input={i}=@{at(i)}.npy")
        for o in model[2]:
            command.append(f"--output={o}=@{at(o)}_got.npy")
        if call(*command).returncode:
            return
        for o, want in zip(model[2], session.run(list(model[2]), feeds)):
            got = np.load(at(o + "_got.npy"))
            bound = (2e-3 if want.dtype == np.float16 else 1e-5) * max(1, np.abs(want).max(initial=0))
            if got.shape != want.shape:
                check(False, f"{name}, {what}, {sizes}: {o} has shape {got.shape}, not {want.shape}")
                continue
            worst = np.abs(got.astype(np.float64) - want.astype(np.float64)).max(initial=0)
            check(got.dtype == want.dtype and worst <= bound, f"{name}, {what}, {sizes}: {o} differs by {worst:.1e}")

    for name, model in MODELS.items():
        save(at("m.onnx"), model)
        session = onnxruntime.InferenceSession(at("m.onnx"), providers=["CPUExecutionProvider"])
        text = call(istc, at("m.onnx"), "--emit=kernel").stdout
        kernels = text.count(" hal.launch ")
        check(model[4] in (None, kernels), f"{name} is {kernels} kernels, not {model[4]}")
        symbols = sorted({d for _, dims in model[1].values() for d in dims if isinstance(d, str)} - {"k"})
        shapes = [dict(zip(symbols, c)) for c in itertools.product(*(SIZES[s] for s in symbols))]
        if name == "broadcast":
            shapes = [{**shape, "k": k} for shape in shapes for k in sorted({1, shape["m"]})]
        for what in ([], ["--target=cpu:x86-64-v2"], ["--test-refuse-plans=1"], ["--test-refuse-plans=3"], ["-O0"]):
            call(istc, at("m.onnx"), "-o", at("m.ist"), *what)
            for sizes in shapes if not what else shapes[-1:]:
                run(name, model, session, sizes, " ".join(what) or "all plans")


sys.exit(main())
