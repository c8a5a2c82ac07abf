"""Matrix products and convolutions on a simulated device, against numpy: of every
type that a matrix unit has, with sizes that tiles do not divide, and with few rows
or columns. Each must take the plan that it is listed for; types that the target's
unit does not have, the plan `tiles`.

    products.py nvidia:sm_80 matrix thin
"""

import os
import shutil
import subprocess
import sys
import tempfile

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

TYPES = {T.FLOAT16: np.float16, T.BFLOAT16: ml_dtypes.bfloat16, T.FLOAT: np.float32, T.INT8: np.int8, T.UINT8: np.uint8, T.INT32: np.int32}
# Of the largest result: a rounding to the result's type, or to the operands'.
TOLERANCE = {T.FLOAT16: 1e-3, T.BFLOAT16: 8e-3, T.FLOAT: 1e-5, T.INT32: 0}
TF32 = 2e-3
# Operand types of the units; MFMA takes s8 only, u8 becomes such.
ANY8 = {(a, b) for a in (T.INT8, T.UINT8) for b in (T.INT8, T.UINT8)}
HALF = {(T.FLOAT16, T.FLOAT16), (T.BFLOAT16, T.BFLOAT16)}
F32 = {(T.FLOAT, T.FLOAT)}
MFMA = HALF | ANY8 | F32
UNITS = {"nvidia:sm_80": HALF | ANY8, "amd:gfx90a": MFMA, "amd:gfx942": MFMA, "amd:gfx950": MFMA,
         "amd:gfx1100": HALF | ANY8, "amd:gfx1201": HALF | ANY8}
NOT_SIMULATED = ("amd:gfx90a", "amd:gfx950")  # compiled only
rng = np.random.default_rng(0)


def random(kind, shape):
    if kind in (T.INT8, T.UINT8):
        return rng.integers(*((-128, 128) if kind == T.INT8 else (0, 256)), shape).astype(TYPES[kind])
    return rng.standard_normal(shape).astype(TYPES[kind])


class Case:
    """One model: operands by name, those of `weights` in the model itself."""

    def __init__(self, name, nodes, operands, kind, want, weights=(), symbols=None, options=()):
        self.name, self.nodes, self.operands, self.kind = name, nodes, operands, kind
        self.want, self.weights, self.symbols, self.options = want, weights, symbols or {}, options

    def plan(self, target, plan):
        """Of this target, whose units may not have these types."""
        plan = "matrix" if plan == "zeros" else plan
        types = tuple(kind for kind, _ in list(self.operands.values())[:2])
        has = types in UNITS[target] or "--tf32" in self.options and target.startswith("nvidia")
        if plan == "thin" and has and min(self.want.shape[-2:]) > 7:
            return "matrix"
        return plan if plan != "matrix" or has else "tiles"

    def run(self, work, target, plan):
        def info(name, kind, shape):
            return helper.make_tensor_value_info(name, kind, self.symbols.get(name, shape))

        def at(name):
            return os.path.join(work, name)

        inputs = [n for n in self.operands if n not in self.weights]
        graph = helper.make_graph(
            self.nodes, "product", [info(n, self.operands[n][0], self.operands[n][1].shape) for n in inputs],
            [info("y", self.kind, self.want.shape)],
            [numpy_helper.from_array(self.operands[n][1], n) for n in self.weights])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), at("m.onnx"))
        made = subprocess.run([shutil.which("istc"), at("m.onnx"), "-o", at("m.ist"), "--target=" + target, "--remarks", *self.options],
                              capture_output=True, text=True)
        if made.returncode:
            return made.stderr
        if f" {self.plan(target, plan)}: taken" not in made.stderr:
            return "another plan\n" + made.stderr
        if target in NOT_SIMULATED:
            return ""
        command = [shutil.which("ist-run"), at("m.ist"), "--device=sim:" + target.split(":")[1], "--output=@" + at("y.npy")]
        for n in inputs:
            v = self.operands[n][1]
            np.save(at(n + ".npy"), v.view(np.uint16) if v.dtype == ml_dtypes.bfloat16 else v)
            command.append(f"--input={n}=@{at(n)}.npy")
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            return ran.stderr
        got = np.load(at("y.npy"))
        if self.kind == T.BFLOAT16:
            got = got.view(ml_dtypes.bfloat16)
        error = np.abs(got.astype(np.float64) - self.want)
        limit = (TF32 if "--tf32" in self.options and target.startswith("nvidia") else TOLERANCE[self.kind]) * np.abs(self.want).max()
        return "" if (error <= limit).all() else f"off by {error.max()} at {np.argwhere(~(error <= limit))[0]}, {limit} allowed"


def matmul(kind, m, n, k, batch=(), other=None, dynamic=False, weight=False, options=()):
    integer = kind in (T.INT8, T.UINT8)
    a, b = random(kind, (*batch, m, k)), random(other or kind, (k, n) if weight else (*batch, k, n))
    wide = np.int64 if integer else np.float32
    symbols = {"a": ["m", "k"], "b": ["k", "n"], "y": ["m", "n"]} if dynamic else None
    return Case(f"{np.dtype(TYPES[kind])} {m}x{n}x{k} {batch}{' dynamic' * dynamic}{' weight' * weight}",
                [helper.make_node("MatMulInteger" if integer else "MatMul", ["a", "b"], ["y"])],
                {"a": (kind, a), "b": (other or kind, b)}, T.INT32 if integer else kind,
                a.astype(wide) @ b.astype(wide), ["b"] * weight, symbols, options)


def centered(kinds, m, n, k, zeros, batch=(), weight=True, extremes=False):
    """A product of 8-bit integers less zero points: scalars, or None for one a row and one a column."""
    def operand(kind, shape):
        ends = np.iinfo(TYPES[kind])
        return rng.choice(np.array([ends.min, ends.max], TYPES[kind]), shape) if extremes else random(kind, shape)

    a, b = operand(kinds[0], (*batch, m, k)), operand(kinds[1], (k, n) if weight else (*batch, k, n))
    za, zb = (random(kind, (size,)) if z is None else np.array(z, TYPES[kind]) for kind, size, z in zip(kinds, (m, n), zeros))
    rows = za.reshape(-1, 1).astype(np.int64)
    want = (a.astype(np.int64) - rows) @ (b.astype(np.int64) - zb.astype(np.int64))
    return Case(f"{np.dtype(TYPES[kinds[0]])} - {zeros[0]} by {np.dtype(TYPES[kinds[1]])} - {zeros[1]} {m}x{n}x{k} {batch}{' weight' * weight}",
                [helper.make_node("MatMulInteger", ["a", "b", "za", "zb"], ["y"])],
                {"a": (kinds[0], a), "b": (kinds[1], b), "za": (kinds[0], za), "zb": (kinds[1], zb)}, T.INT32,
                want.astype(np.int32), ["b"] * weight + ["za", "zb"])


def gemm(kind, m, n, k, turn_a, turn_b):
    a, b, c = random(kind, (k, m) if turn_a else (m, k)), random(kind, (n, k) if turn_b else (k, n)), random(kind, (n,))
    x, w = a.astype(np.float32), b.astype(np.float32)
    want = np.maximum((x.T if turn_a else x) @ (w.T if turn_b else w) + c.astype(np.float32), 0)
    return Case(f"gemm {np.dtype(TYPES[kind])} {m}x{n}x{k} {turn_a}{turn_b}",
                [helper.make_node("Gemm", ["a", "b", "c"], ["s"], transA=turn_a, transB=turn_b), helper.make_node("Relu", ["s"], ["y"])],
                {"a": (kind, a), "b": (kind, b), "c": (kind, c)}, kind, want)


def convolution(kind, images, channels, size, results, window, stride, pad, group=1):
    x, w = random(kind, (images, channels, size, size)), random(kind, (results, channels // group, window, window))
    bias = random(kind, (results,))
    padded = np.pad(x.astype(np.float32), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (window, window), (2, 3))[:, :, ::stride, ::stride]
    parts = [np.einsum("nchwij,ocij->nohw", windows[:, g * channels // group:(g + 1) * channels // group],
                       w.astype(np.float32)[g * results // group:(g + 1) * results // group]) for g in range(group)]
    want = np.concatenate(parts, 1) + bias.astype(np.float32)[:, None, None]
    return Case(f"conv {np.dtype(TYPES[kind])} {x.shape} {w.shape} / {stride}",
                [helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[stride] * 2, pads=[pad] * 4, group=group)],
                {"x": (kind, x), "w": (kind, w), "b": (kind, bias)}, kind, want, ["w", "b"])


def matrix():
    return [
        matmul(T.FLOAT16, 64, 64, 64), matmul(T.FLOAT16, 70, 100, 130), matmul(T.BFLOAT16, 33, 77, 45), matmul(T.FLOAT16, 33, 35, 37, (2, 2)),
        matmul(T.FLOAT16, 50, 60, 70, dynamic=True), matmul(T.FLOAT16, 48, 64, 32, dynamic=True), matmul(T.FLOAT16, 130, 140, 64, weight=True),
        matmul(T.INT8, 33, 17, 65), matmul(T.INT8, 130, 70, 200, weight=True), matmul(T.UINT8, 20, 30, 100),
        matmul(T.UINT8, 64, 48, 96, other=T.INT8), matmul(T.INT8, 64, 48, 96, other=T.UINT8), matmul(T.FLOAT, 40, 50, 60, options=["--tf32"]), matmul(T.FLOAT, 50, 40, 70, dynamic=True),
        gemm(T.FLOAT16, 40, 56, 72, 0, 1), gemm(T.FLOAT16, 40, 56, 72, 1, 0), gemm(T.BFLOAT16, 17, 33, 65, 1, 1),
        convolution(T.FLOAT16, 1, 16, 10, 24, 3, 1, 1), convolution(T.FLOAT16, 2, 16, 8, 16, 1, 1, 0),
        convolution(T.BFLOAT16, 1, 16, 12, 40, 5, 2, 2), convolution(T.FLOAT16, 1, 32, 7, 32, 3, 1, 1, group=2),
        # Whose loop's barrier lost its wait once, on gfx942.
        convolution(T.FLOAT, 1, 384, 13, 48, 1, 1, 0),
    ]


def zeros():
    u8s8, u8u8, s8s8 = (T.UINT8, T.INT8), (T.UINT8, T.UINT8), (T.INT8, T.INT8)
    return [
        centered(u8s8, 33, 17, 65, (0, 0)), centered(u8s8, 33, 17, 65, (128, 0)), centered(u8s8, 40, 24, 70, (255, -128), extremes=True),
        centered(u8u8, 20, 30, 100, (7, 128)), centered(u8u8, 20, 30, 100, (None, None)), centered(u8u8, 24, 16, 64, (128, 128), weight=False),
        centered(s8s8, 64, 48, 96, (-128, 127), extremes=True), centered(s8s8, 17, 33, 64, (3, None), weight=False),
        centered(u8s8, 16, 20, 32, (9, 5), (2, 3), weight=False), centered((T.INT8, T.UINT8), 21, 19, 67, (None, 128)),
    ]


def thin():
    return [
        matmul(T.FLOAT, 1, 100, 130), matmul(T.FLOAT16, 3, 77, 64), matmul(T.BFLOAT16, 1, 33, 65), matmul(T.FLOAT16, 5, 512, 512, weight=True),
        matmul(T.FLOAT, 100, 1, 70), matmul(T.FLOAT, 64, 2, 33), matmul(T.FLOAT, 1, 1, 70), matmul(T.FLOAT, 16, 20, 30), matmul(T.INT8, 2, 64, 100),
        matmul(T.UINT8, 4, 33, 65, other=T.INT8), matmul(T.FLOAT16, 2, 9, 8, (3,)), matmul(T.FLOAT16, 1, 5, 3),
        gemm(T.FLOAT16, 1, 56, 72, 0, 1), gemm(T.FLOAT16, 4, 56, 512, 0, 1), gemm(T.FLOAT16, 3, 40, 70, 1, 0), gemm(T.BFLOAT16, 1, 33, 65, 1, 1),
        gemm(T.FLOAT, 64, 1, 128, 0, 1),
    ]


def main():
    target, bad = sys.argv[1], 0
    with tempfile.TemporaryDirectory() as work:
        for plan in sys.argv[2:]:
            for case in {"matrix": matrix, "thin": thin, "zeros": zeros}[plan]():
                said = case.run(work, target, plan)
                print(f"{'FAILED' if said else 'ok'}: {plan}: {case.name}{': ' + said if said else ''}")
                bad += bool(said)
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
