"""Small models against ONNX Runtime: the number of their kernels, and numbers.

Every model runs with all plans, with plans refused (so that kernels come down
the ladder), and for targets with other vectors.
"""

import itertools
import os
import shutil
import subprocess
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import checks

rng = np.random.default_rng(11)
F32, F16, BOOL, I32 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BOOL, TensorProto.INT32
NUMPY = {F32: np.float32, F16: np.float16, BOOL: np.bool_, I32: np.int32}


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), output.split(), output.split()[0], **attributes)


def weight(name, *shape):
    return numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)


def scalar(name, value, dtype=np.float32):
    return numpy_helper.from_array(np.array(value, dtype), name)


def check(ok, text):
    checks.check(ok, text, quiet=True)


def drawn(dtype, shape):
    x = rng.standard_normal(shape) * 3
    return np.asarray(x > 0) if dtype == BOOL else x.astype(NUMPY[dtype])


def save(path, model):
    nodes, inputs, outputs, weights, _ = model
    inner = [n for outer in nodes for a in outer.attribute for n in a.g.node]
    used = {name for n in [*nodes, *inner] for name in n.input}
    graph = helper.make_graph(
        nodes, "model", [helper.make_tensor_value_info(name, t, dims) for name, (t, dims) in inputs.items()],
        [helper.make_tensor_value_info(name, t, None) for name, t in outputs.items()],
        [w for w in weights if w.name in used])
    opset = 21 if nodes[0].op_type == "GroupNormalization" else 17
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), path)


def main(models, sizes, variants):
    """`models`: name to nodes, inputs, outputs, initializers, the number of
    kernels or None. `sizes`: each symbol's values. `variants`: lists of further
    options for istc; without any, every shape is run, with them the last.
    """
    with tempfile.TemporaryDirectory() as work:
        run_models(work, models, sizes, variants)
    print(f"{len(models)} models, {checks.failures} failures")
    return checks.failures != 0


def run_models(work, models, values, variants):
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

    for name, model in models.items():
        save(at("m.onnx"), model)
        session = onnxruntime.InferenceSession(at("m.onnx"), providers=["CPUExecutionProvider"])
        text = call(istc, at("m.onnx"), "--emit=kernel").stdout
        kernels = text.count(" hal.launch ")
        check(model[4] in (None, kernels), f"{name} is {kernels} kernels, not {model[4]}")
        symbols = sorted({d for _, dims in model[1].values() for d in dims if isinstance(d, str)} - {"k"})
        shapes = [dict(zip(symbols, c)) for c in itertools.product(*(values[s] for s in symbols))]
        if name == "broadcast":
            shapes = [{**shape, "k": k} for shape in shapes for k in sorted({1, shape["m"]})]
        for what in ([], *variants):
            call(istc, at("m.onnx"), "-o", at("m.ist"), *what)
            for sizes in shapes if not what else shapes[-1:]:
                run(name, model, session, sizes, " ".join(what) or "all plans")

