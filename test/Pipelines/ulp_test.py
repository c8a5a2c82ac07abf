"""The polynomials that stand for a math library, measured.

Each function runs on many elements of its domain in f32 and f64, with and
without a fused multiply-add, and on every element of it in f16 and bf16. The largest error in ulp (units in the last place
of the right result) may not be above what docs/numerics.md promises; `--table`
prints that table as measured.
"""

import math
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper

LONG = np.longdouble
ERF = np.vectorize(math.erf, otypes=[np.float64])


INF = math.inf

# operator: (function in long double, domain, largest error in f32, in f64)
FUNCTIONS = {
    "Exp": (np.exp, (-INF, INF), 1.25, 1.25),
    "Log": (np.log, (0, INF), 1.25, 1),
    "Tanh": (np.tanh, (-INF, INF), 5, 3),
    "Erf": (ERF, (-INF, INF), 5, 2.5),
    "Sigmoid": (lambda x: 1 / (1 + np.exp(-x)), (-87, INF), 2.5, 2.5),
    "Sin": (np.sin, (-1e5, 1e5), 3, 2.5),
    "Cos": (np.cos, (-1e5, 1e5), 3, 2.5),
    "Tan": (np.tan, (-1e5, 1e5), 4.5, 3.5),
    "Atan": (np.arctan, (-INF, INF), 2, 2),
    "Asin": (np.arcsin, (-1, 1), 2.5, 2.5),
    "Acos": (np.arccos, (-1, 1), 1.5, 1.5),
    "Sinh": (np.sinh, (-INF, INF), 3, 3),
    "Cosh": (np.cosh, (-INF, INF), 3, 3),
    "Asinh": (np.arcsinh, (-INF, INF), 2, 2),
    "Acosh": (np.arccosh, (1, INF), 2, 2),
    "Atanh": (np.arctanh, (-1, 1), 2, 2),
    "Elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), (-INF, INF), 1.5, 1.5),
    "Softplus": (lambda x: np.logaddexp(LONG(0), x), (-INF, INF), 2, 2),
    "Reciprocal": (lambda x: 1 / x, (-INF, INF), 0.5, 0.5),
    "Sqrt": (np.sqrt, (0, INF), 0.5, 0.5),
}
COUNT = 200_000  # elements of f32 and f64


class BF16:
    """bfloat16 as the upper half of a float32, which is how the tools store it."""
    bits, exponent, mantissa, onnx = np.uint16, 8, 7, TensorProto.BFLOAT16

    @staticmethod
    def wide(array):
        with np.errstate(invalid="ignore"):  # NaN
            return (array.astype(np.uint32) << 16).view(np.float32).astype(LONG)


class Native:
    def __init__(self, dtype, bits, exponent, mantissa, onnx):
        self.dtype, self.bits, self.exponent, self.mantissa, self.onnx = dtype, bits, exponent, mantissa, onnx

    def wide(self, array):
        with np.errstate(invalid="ignore"):  # NaN
            return array.view(self.dtype).astype(LONG)


TYPES = {"f32": Native(np.float32, np.uint32, 8, 23, TensorProto.FLOAT),
         "f64": Native(np.float64, np.uint64, 11, 52, TensorProto.DOUBLE),
         "f16": Native(np.float16, np.uint16, 5, 10, TensorProto.FLOAT16),
         "bf16": BF16}


def samples(kind, domain, rng):
    """Bit patterns of elements in the domain, spread over the exponents and over the line."""
    if kind.bits == np.uint16:
        bits = np.arange(1 << 16, dtype=np.uint16)
    else:
        width = kind.bits().itemsize * 8
        anywhere = rng.integers(0, 1 << width, COUNT // 2, dtype=kind.bits)
        low, high = max(domain[0], -100), min(domain[1], 100)
        line = rng.uniform(low, high, COUNT // 4).astype(kind.dtype)
        wide = rng.uniform(max(domain[0], -1e5), min(domain[1], 1e5), COUNT // 8).astype(kind.dtype)
        small = rng.normal(0, 1, COUNT - COUNT // 2 - COUNT // 4 - COUNT // 8).astype(kind.dtype)
        edges = np.array([0, 1, -1, 0.5, -0.5, 2, np.inf, -np.inf, np.nan, np.finfo(kind.dtype).tiny,
                          np.finfo(kind.dtype).max], kind.dtype)
        bits = np.concatenate([anywhere] + [a.view(kind.bits) for a in (line, wide, small, edges)])
    x = kind.wide(bits)
    with np.errstate(all="ignore"):
        inside = (x >= domain[0]) & (x <= domain[1])
        # Subnormal operands are their own story: a device may take them for 0.
        inside &= (x == 0) | (np.abs(x) >= LONG(2) ** (2 - 2 ** (kind.exponent - 1)))
        return bits[inside | np.isnan(x)]


def ulps(kind, got, want):
    """Errors in ulp; infinite where one is finite or a number and the other not."""
    smallest, bias = 2 - 2 ** (kind.exponent - 1), kind.mantissa
    largest = (2 - LONG(2) ** -kind.mantissa) * LONG(2) ** (2 ** (kind.exponent - 1) - 1)
    with np.errstate(all="ignore"):
        over = np.abs(want) >= largest * (1 + LONG(2) ** -(bias + 2))
        want = np.where(over, np.copysign(LONG(INF), want), want)
        magnitude = np.maximum(np.abs(np.where(np.isfinite(want), want, 1)), LONG(2) ** smallest)
        unit = LONG(2) ** (np.floor(np.log2(magnitude)) - bias)
        error = np.abs(got - want) / unit
        # The largest number for one that rounds to infinity is one ulp off, and the other way round.
        near = (np.abs(got) == largest) & over | np.isinf(got) & (np.abs(want) > largest * (1 - LONG(2) ** -(bias - 3)))
        error = np.where(near & (np.sign(got) == np.sign(want)), 1, error)
        error = np.where((got == want) | (np.isnan(got) & np.isnan(want)), 0, error)
        return np.where(np.isnan(error), INF, error)


def measure(kind, target, istc, run):
    rng = np.random.default_rng(1)
    cases = {op: samples(kind, domain, rng) for op, (_, domain, *_) in FUNCTIONS.items()}
    graph = helper.make_graph(
        [helper.make_node(op, ["x" + op], [op]) for op in cases], "ulp",
        [helper.make_tensor_value_info("x" + op, kind.onnx, [len(x)]) for op, x in cases.items()],
        [helper.make_tensor_value_info(op, kind.onnx, [len(x)]) for op, x in cases.items()])
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "ulp")
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10), path + ".onnx")
        arguments = []
        for op, x in cases.items():
            np.save(f"{path}.{op}.npy", x if kind is BF16 else x.view(kind.dtype))
            arguments += [f"--input=x{op}=@{path}.{op}.npy", f"--output={op}=@{path}.{op}.out.npy"]
        subprocess.run([istc, path + ".onnx", "-o", path + ".ist", "--target=" + target], check=True)
        subprocess.run([run, path + ".ist", *arguments], check=True, stderr=subprocess.DEVNULL)
        results = {}
        for op, x in cases.items():
            function = FUNCTIONS[op][0]
            with np.errstate(all="ignore"):
                wide = kind.wide(x)
                want = function(wide).astype(LONG)
            got = kind.wide(np.load(f"{path}.{op}.out.npy").view(kind.bits))
            error = ulps(kind, got, want)
            worst = int(np.argmax(error))
            results[op] = (float(error[worst]), float(wide[worst]), float(got[worst]), float(want[worst]))
    return results


def main():
    istc, run = shutil.which("istc"), shutil.which("ist-run")
    failures = 0
    measured = {name: measure(kind, "cpu:native", istc, run) for name, kind in TYPES.items()}
    # Without a fused multiply-add.
    for name in ("f32", "f64"):
        for op, result in measure(TYPES[name], "cpu:x86-64-v2", istc, run).items():
            measured[name][op] = max(measured[name][op], result)
    if "--table" in sys.argv:
        for op in FUNCTIONS:
            print(f"| {op} | " + " | ".join(f"{measured[n][op][0]:.2f}" for n in TYPES) + " |")
    for name in TYPES:
        for op, (_, _, f32, f64) in FUNCTIONS.items():
            error, x, got, want = measured[name][op]
            # Narrow types compute in f32 and round once more.
            bound = {"f32": f32, "f64": f64}.get(name, 0.51)
            if error > bound:
                failures += 1
                print(f"FAILED: {op} in {name} is {error:.2f} ulp off at {x!r}: {got!r}, right is {want!r}; "
                      f"the bound is {bound}")
    print(f"{len(TYPES) * len(FUNCTIONS) - failures} within their bounds, {failures} not")
    return failures != 0


sys.exit(main())
