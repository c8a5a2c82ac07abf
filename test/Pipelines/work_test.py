"""The work of launches against counts made by hand: operations and bytes of one
node, as sums over its sizes, for a target whose operands are as the model has them
and for one that packs weights; and what the compiler must not pretend to know."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import checks
from checks import check

SIZES = {"m": 5, "n": 300}


def weight(name, *dims, dtype=np.float32):
    return numpy_helper.from_array(np.ones(dims, dtype), name)


def node(op, inputs, **attributes):
    return helper.make_node(op, inputs.split(), ["y"], **attributes)


F, I = T.FLOAT, T.INT64
m, n = SIZES["m"], SIZES["n"]
# name: nodes, inputs, initializers, rank of y, flops, bytes read, bytes written
CASES = {
    "matmul": ([node("MatMul", "x w")], {"x": (F, [48, 64])}, [weight("w", 64, 96)], 2,
               2 * 48 * 64 * 96, 4 * (48 * 64 + 64 * 96), 4 * 48 * 96),
    "dynamic matmul": ([node("MatMul", "x w")], {"x": (F, ["m", 64])}, [weight("w", 64, 96)], 2,
                       2 * m * 64 * 96, 4 * (m * 64 + 64 * 96), 4 * m * 96),
    "two dynamic dims": ([node("MatMul", "x z")], {"x": (F, ["m", 64]), "z": (F, [64, "n"])}, [], 2,
                         2 * m * 64 * n, 4 * (m * 64 + 64 * n), 4 * m * n),
    "batched": ([node("MatMul", "x z")], {"x": (F, ["n", 2, 8, 16]), "z": (F, ["n", 2, 16, 8])}, [], 4,
                2 * n * 2 * 8 * 16 * 8, 4 * n * 2 * (8 * 16 * 2), 4 * n * 2 * 8 * 8),
    "elementwise": ([node("Add", "x z")], {"x": (F, ["m", 7]), "z": (F, ["m", 7])}, [], 2, 7 * m, 2 * 28 * m, 28 * m),
    "one operand twice": ([node("Mul", "x x")], {"x": (F, ["m", 7])}, [], 2, 7 * m, 28 * m, 28 * m),
    "broadcast": ([node("Sub", "x z")], {"x": (F, ["m", 7]), "z": (F, [7])}, [], 2, 7 * m, 28 * m + 28, 28 * m),
    "halves": ([node("Add", "x z")], {"x": (T.FLOAT16, ["m", 7]), "z": (T.FLOAT16, ["m", 7])}, [], 2, 7 * m, 28 * m, 14 * m),
    "no arithmetic": ([node("Transpose", "x", perm=[1, 0])], {"x": (F, ["m", "n"])}, [], 2, 0, 4 * m * n, 4 * m * n),
    "conv": ([node("Conv", "x w", strides=[2, 2], pads=[1, 1, 1, 1])], {"x": (F, [1, 6, 20, 20])}, [weight("w", 8, 6, 3, 3)], 4,
             2 * 8 * 10 * 10 * 6 * 9, 4 * (6 * 400 + 8 * 6 * 9), 4 * 8 * 100),
    "grouped conv": ([node("Conv", "x w", group=2)], {"x": (F, ["m", 6, 9, 9])}, [weight("w", 4, 3, 3, 3)], 4,
                     2 * m * 4 * 49 * 3 * 9, 4 * (m * 6 * 81 + 4 * 27), 4 * m * 4 * 49),
    "reduction": ([node("ReduceSum", "x a", keepdims=0)], {"x": (F, ["m", 500])}, [weight("a", 1, dtype=np.int64)], 1,
                  500 * m, 2000 * m, 4 * m),
    "part of a table": ([node("Gather", "t i")], {"i": (I, ["m"])}, [weight("t", 1000, 32)], 2, 0, 8 * m + 128 * m, 128 * m),
    "all of a table": ([node("Gather", "t i")], {"i": (I, ["n"])}, [weight("t", 50, 32)], 2, 0, 8 * n + 4 * 50 * 32, 128 * n),
    "slice": ([node("Slice", "x b e s")], {"x": (F, [64, 8])}, [numpy_helper.from_array(np.array([v]), k) for k, v in zip("bes", (4, 12, 0))], 2,
              0, 4 * 8 * 8, 4 * 8 * 8),
    "pad": ([node("Pad", "x p")], {"x": (F, [6, 8])}, [numpy_helper.from_array(np.array([1, 1, 1, 1]), "p")], 2,
            0, 4 * 6 * 8, 4 * 8 * 10),
    # What it reads of a table whose size is not known either: nobody knows.
    "unknown table": ([node("Gather", "x i")], {"x": (F, ["n", 8]), "i": (I, ["m"])}, [], 2, 0, None, 32 * m),
    # How long it compares, and how much it then writes, depends on the data.
    "irregular": ([node("NonMaxSuppression", "x z k")], {"x": (F, [1, 9, 4]), "z": (F, [1, 1, 9])},
                  [weight("k", 1, dtype=np.int64)], 2, None, None, None),
}
TARGETS = ["nvidia:sm_80", "cpu:x86-64-v3"]
LAYOUTS = {"conv"}  # which the cpu target changes before and behind, in launches of their own


def value(text, scalars):
    """None: not said, or of a scalar that only the device knows."""
    if text == "-" or any(scalars[int(i)] is None for i in re.findall(r"s(\d+)", text)):
        return None
    return eval(re.sub(r"s(\d+)", r"scalars[\1]", text))


def launches(text, symbols):
    """The work of main's launches, each with its scalars."""
    kernels = dict(re.findall(r"^kernel (\w+): (.*)$", text, re.M))
    main = text[text.index("function main"):]
    registers = dict(enumerate(SIZES[s] for s in symbols))
    for line in main.splitlines():
        words = line.split(": ", 1)[-1].split()
        if words[:1] == ["launch"]:
            yield kernels[words[1]], [registers.get(int(r[1:])) for r in words[4:] if r[0] == "r"]
        elif words[:1] == ["const_"]:
            registers[int(words[1][1:])] = int(words[3])
        elif words[:1] in (["add"], ["mul"], ["sub"], ["ceildiv"]):
            a, b = (registers.get(int(w[1:])) for w in words[2:4])
            if a is not None and b is not None:
                registers[int(words[1][1:])] = {"add": a + b, "mul": a * b, "sub": a - b, "ceildiv": -(-a // b)}[words[0]]


def total(text, symbols):
    """Flops, bytes read and bytes written by one call of main; None: not known."""
    sums = [0, 0, 0]
    for work, scalars in launches(text, symbols):
        parts = re.fullmatch(r"flops (.*) reads (.*) writes (.*)", work).groups()
        for i, part in enumerate(parts):
            v = value(part, scalars)
            sums[i] = None if v is None or sums[i] is None else sums[i] + v
    return sums


def main():
    istc = shutil.which("istc")
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "m.onnx")
        for name, (nodes, inputs, weights, rank, *want) in CASES.items():
            kind = {"halves": T.FLOAT16, "irregular": I}.get(name, F)
            graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(k, t, d) for k, (t, d) in inputs.items()],
                                      [helper.make_tensor_value_info("y", kind, [None] * rank)], weights)
            onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
            symbols = list(dict.fromkeys(d for _, dims in inputs.values() for d in dims if isinstance(d, str)))
            for target in TARGETS:
                done = subprocess.run([istc, path, "--emit=program", "--target=" + target], capture_output=True, text=True)
                got = total(done.stdout, symbols) if done.returncode == 0 else done.stderr
                same = 1 if name in LAYOUTS and target.startswith("cpu") else 3
                ok = len(got) == 3 and got[:same] == want[:same]
                check(ok, f"{name}, {target}: {got}, by hand {want}")
    return checks.failures != 0


sys.exit(main())
