"""ist-run --compare=reference: right models pass, and a kernel made wrong is
the one that is named, by its nodes, with what reproduces it."""

import glob
import os
import re
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
    """Packed weights (work for init), two products, a reduction, a dim n, and
    integers that a comparison makes."""
    rng = np.random.default_rng(7)

    def weight(name, *shape):
        return numpy_helper.from_array((rng.standard_normal(shape) / 4).astype(np.float32), name)

    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a0"], "first"),
        helper.make_node("Tanh", ["a0"], ["a1"], "tanh"),
        helper.make_node("MatMul", ["a1", "w1"], ["a2"], "second"),
        helper.make_node("Softmax", ["a2"], ["y"], "softmax", axis=-1),
        helper.make_node("ArgMax", ["a2"], ["z"], "which", axis=-1),
    ]
    graph = helper.make_graph(
        nodes, "compare_test", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 24])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 19]),
         helper.make_tensor_value_info("z", TensorProto.INT64, ["n", 1])],
        [weight("w0", 24, 40), weight("w1", 40, 19)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def main():
    with tempfile.TemporaryDirectory() as work:
        def at(name):
            return os.path.join(work, name)

        def call(*command):
            done = subprocess.run([shutil.which(command[0]), *command[1:]], capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

        def compare(artifact, *options):
            return call("ist-run", at(artifact), "--random", "--shape=n=5", "--compare=reference", *options)

        model(at("m.onnx"))
        code, said = call("istc", at("m.onnx"), "-o", at("plain.ist"))
        check(code == 0, "compiles " + said)
        code, said = compare("plain.ist")
        check(code == 1 and "istc --reference" in said, "an artifact without references is refused: " + said.strip())

        code, said = call("istc", at("m.onnx"), "-o", at("good.ist"), "--reference", "--dump-dir=" + at("dumps"))
        check(code == 0, "compiles with references " + said)
        code, said = compare("good.ist")
        check(code == 0 and re.search(r"^\d+ launches agree", said), said.strip())

        with open(at("dumps/kernel.mlir")) as f:
            kernels = re.findall(r"kernel\.func @(k_\w+)", f.read())
        check(len(kernels) >= 5, f"{len(kernels)} kernels")
        caught = 0
        for kernel in kernels:
            code, said = call("istc", at("m.onnx"), "-o", at("bad.ist"), "--reference", "--test-break-kernel=" + kernel)
            check(code == 0, f"compiles with {kernel} broken " + said)
            code, said = compare("bad.ist", "--reproducer=" + at("repro"), "--dump-dir=" + at("dumps"))
            if code == 0:
                continue  # a copy holds no arithmetic to break
            caught += 1
            check(f"kernel  {kernel} (" in said, f"{kernel} is named: {said.splitlines()[0]}")
            with open(at("repro/kernel.mlir")) as f:
                check(kernel in f.read(), "its text is kept")
            out, ref = np.load(at("repro/out0.npy")), np.load(at("repro/ref0.npy"))
            check(out.shape == ref.shape and not np.allclose(out, ref), "and its results")
            check(len(glob.glob(at("repro/in*.npy"))) >= 1, "and its operands")
            shutil.rmtree(at("repro"))
        check(caught >= 3, f"{caught} broken kernels caught")

        code, said = call("istc", at("m.onnx"), "-o", at("bad.ist"), "--reference", "--test-break-kernel=contraction")
        code, said = compare("bad.ist")
        check("'first (MatMul)'" in said, "the first of two wrong products is named, by its node")
    return checks.failures != 0


sys.exit(main())
