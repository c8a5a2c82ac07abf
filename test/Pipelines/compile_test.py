"""Properties of whole compilations, on real topologies with drawn weights.

Reproducible: the same bytes whatever -j, the folder and the run. Total: when
plans are refused, the next ones give the same numbers. Fat: one artifact with
several variants, each of which runs.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import checks
from checks import check


def model(path):
    """Convolutions, a depthwise one, a norm, matrix products, softmax; dim n."""
    rng = np.random.default_rng(7)

    def weight(name, *shape):
        return numpy_helper.from_array((rng.standard_normal(shape) / 8).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["a0"], "conv0", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a0"], ["a1"], "relu0"),
        helper.make_node("Conv", ["a1", "w1"], ["a2"], "depthwise", kernel_shape=[3, 3], group=20, strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a2", "w2"], ["a3"], "pointwise", kernel_shape=[1, 1]),
        helper.make_node("Add", ["a3", "a3"], ["a4"], "add"),
        helper.make_node("Reshape", ["a4", "column"], ["c0"], "column"),
        helper.make_node("Conv", ["c0", "w4"], ["c1"], "conv_of_a_column", pads=[2, 0, 2, 0], strides=[2, 1]),
        helper.make_node("Tanh", ["c1"], ["c2"], "tanh"),
        helper.make_node("Flatten", ["c2"], ["a5"], "flatten"),
        helper.make_node("MatMul", ["a5", "w3"], ["a6"], "matmul"),
        helper.make_node("Softmax", ["a6"], ["a7"], "softmax", axis=-1),
        helper.make_node("ReduceMean", ["a6"], ["a8"], "mean", axes=[1], keepdims=1),
        helper.make_node("Sub", ["a7", "a8"], ["y"], "sub"),
    ]
    graph = helper.make_graph(
        nodes, "compile_test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5, 13, 11])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 37])],
        [weight("w0", 20, 5, 3, 3), weight("b0", 20), weight("w1", 20, 1, 3, 3),
         weight("w2", 7, 20, 1, 1), weight("w3", 3 * 21, 37),
         weight("w4", 3, 7, 5, 1), numpy_helper.from_array(np.array([0, 7, -1, 1]), "column")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def main():
    istc, ist_run = shutil.which("istc"), shutil.which("ist-run")

    def call(*command, cwd=None):
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
        check(done.returncode == 0, " ".join(map(os.path.basename, command)) + " " + done.stderr[:400])

    with tempfile.TemporaryDirectory() as work:
        def at(name):
            return os.path.join(work, name)

        def digest(name):
            with open(at(name), "rb") as f:
                return hashlib.sha256(f.read()).hexdigest()

        model(at("m.onnx"))
        os.mkdir(at("other"))
        model(at("other/m.onnx"))
        call(istc, at("m.onnx"), "-o", at("a.ist"), "-j1", "--target=cpu:native")
        call(istc, "m.onnx", "-o", "b.ist", "-j2", "--target=cpu:native", cwd=at("other"))
        check(digest("a.ist") == digest("other/b.ist"), "equal bytes for another -j and folder")

        x = np.random.default_rng(3).standard_normal((3, 5, 13, 11)).astype(np.float32)
        np.save(at("x.npy"), x)

        def run(artifact, *options):
            call(ist_run, at(artifact), "--input=x=@" + at("x.npy"), "--output=@" + at("y.npy"), *options)
            return np.load(at("y.npy"))

        import onnxruntime
        want = onnxruntime.InferenceSession(at("m.onnx")).run(None, {"x": x})[0]

        def agrees(got, text):
            worst = float(np.abs(got - want).max())
            check(got.shape == want.shape and worst <= 1e-5, f"{text}: differs by {worst:.1e}")

        agrees(run("a.ist"), "all plans")
        for k in (1, 2, 3, 5):
            call(istc, at("m.onnx"), "-o", at("c.ist"), f"--test-refuse-plans={k}")
            agrees(run("c.ist"), f"every plan number {k} refused")
        call(istc, at("m.onnx"), "-o", at("d.ist"), "-O0")
        agrees(run("d.ist"), "no fusion")
        call(istc, at("m.onnx"), "-o", at("e.ist"), "--target=cpu:x86-64-v2", "--target=cpu:native")
        agrees(run("e.ist", "--variant=0"), "the first variant")
        agrees(run("e.ist", "--variant=1"), "the second variant")
        for target in ("cpu:aarch64", "cpu:riscv64"):
            call(istc, at("m.onnx"), "-o", at("f.ist"), "--target=" + target)
    return checks.failures != 0


sys.exit(main())
