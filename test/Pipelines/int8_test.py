"""Products of 8-bit integers against numpy, whose integers are exact: every pair of
signs, zero points at the ends of their types, for rows and for columns, sums that
are no multiple of anything and that wrap, results scaled by column.

    int8_test.py [DEVICE] -- ISTC_OPTION...
"""

import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

import checks

rng = np.random.default_rng(8)
S8, U8 = np.int8, np.uint8


def drawn(dtype, shape, ends=False):
    info = np.iinfo(dtype)
    return rng.choice(np.array([info.min, info.max], dtype), shape) if ends else \
        rng.integers(info.min, info.max + 1, shape).astype(dtype)


def sums(a, za, b, zb):
    """Of i32: they wrap."""
    rows = za.astype(np.int64).reshape(-1, 1) if za.ndim else za.astype(np.int64)
    return ((a.astype(np.int64) - rows) @ (b.astype(np.int64) - zb.astype(np.int64))).astype(np.int32)


def model(nodes, feeds, weights, out):
    def value(name, x):
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)

    graph = helper.make_graph(nodes, "int8", [value(n, x) for n, x in feeds.items()], [value("y", out)],
                              [numpy_helper.from_array(w, n) for n, w in weights.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def integer(m, n, k, types, zeros, ends=False, batch=(), weight=True):
    """MatMulInteger; a zero point is a number or one a row (column) for None."""
    a, b = drawn(types[0], (*batch, m, k), ends), drawn(types[1], (k, n) if weight else (*batch, k, n), ends)
    za, zb = (drawn(t, (size,)) if z is None else np.array(z, t) for t, size, z in zip(types, (m, n), zeros))
    given = {"b": b} if weight else {}
    return (f"{m}x{n}x{k} {types[0].__name__} - {zeros[0]}, {types[1].__name__} - {zeros[1]} {batch}",
            [helper.make_node("MatMulInteger", ["a", "b", "za", "zb"], ["y"])],
            {"a": a} if weight else {"a": a, "b": b}, {"za": za, "zb": zb, **given}, sums(a, za, b, zb))


def requantized(m, n, k, types, zeros, out, zero, columns=True):
    """QLinearMatMul, its scales such that results fill their type and pass its ends."""
    a, b = drawn(types[0], (m, k)), drawn(types[1], (k, n))
    za, zb, zy = np.array(zeros[0], types[0]), np.array(zeros[1], types[1]), np.array(zero, out)
    sa, sy = np.float32(0.02), np.float32(0.5)
    sb = (rng.random(n if columns else ()) * 8 / np.sqrt(k) / 127).astype(np.float32)
    by = np.float64(sa) * sb.astype(np.float64) / np.float64(sy)
    info = np.iinfo(out)
    want = np.clip(np.rint(sums(a, za, b, zb) * by) + np.float64(zero), info.min, info.max).astype(out)
    names = ["a", "sa", "za", "b", "sb", "zb", "sy", "zy"]
    return (f"requantized {m}x{n}x{k} {types[0].__name__} {types[1].__name__} to {out.__name__}",
            [helper.make_node("QLinearMatMul", names, ["y"])], {"a": a},
            {"b": b, "sa": np.array(sa), "za": za, "sb": sb, "zb": zb, "sy": np.array(sy), "zy": zy}, want)


def dynamic(m, n, k):
    """Quantized on the way in and scaled on the way out."""
    x, b = rng.standard_normal((m, k)).astype(np.float32), drawn(S8, (k, n))
    sb = rng.random(n).astype(np.float32)
    lo, hi = min(x.min(), 0), max(x.max(), 0)
    scale = np.float32((hi - lo) / np.float32(255))
    zero = np.clip(np.rint(np.float32(-lo / scale)), 0, 255).astype(U8)
    q = np.clip(np.rint(x / scale) + np.float32(zero), 0, 255).astype(U8)
    want = sums(q, zero, b, np.zeros((), S8)).astype(np.float32) * (scale * sb)
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
             helper.make_node("MatMulInteger", ["q", "b", "z"], ["p"]), helper.make_node("Cast", ["p"], ["f"], to=1),
             helper.make_node("Mul", ["s", "sb"], ["by"]), helper.make_node("Mul", ["f", "by"], ["y"])]
    return f"dynamic {m}x{n}x{k}", nodes, {"x": x}, {"b": b, "sb": sb}, want


def dequantized(m, n, k, types, zeros, columns=True):
    """A product of floats that were integers, with zero points."""
    a, b = drawn(types[0], (m, k)), drawn(types[1], (k, n))
    za, zb = np.array(zeros[0], types[0]), np.array(zeros[1], types[1])
    sa, sb = np.array(0.02, np.float32), rng.random(n if columns else ()).astype(np.float32)
    want = (sums(a, za, b, zb) * (np.float64(sa) * sb)).astype(np.float32)
    nodes = [helper.make_node("DequantizeLinear", ["a", "sa", "za"], ["x"]),
             helper.make_node("DequantizeLinear", ["b", "sb", "zbs"], ["w"], axis=1), helper.make_node("MatMul", ["x", "w"], ["y"])]
    return (f"dequantized {m}x{n}x{k} {types[0].__name__} {types[1].__name__}", nodes, {"a": a},
            {"b": b, "sa": sa, "za": za, "sb": sb, "zbs": np.full(sb.shape, zb)}, want)


def windows(x, zero, w, stride, pad, dilation, group):
    """The convolution of x - zero, padded with 0, with w, in 64 bits."""
    x = np.pad(x.astype(np.int64) - int(zero), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    size = [dilation * (s - 1) + 1 for s in w.shape[2:]]
    view = np.lib.stride_tricks.sliding_window_view(x, size, (2, 3))[:, :, ::stride, ::stride, ::dilation, ::dilation]
    ins, outs = x.shape[1] // group, w.shape[0] // group
    return np.concatenate([np.einsum("nchwij,ocij->nohw", view[:, g * ins:(g + 1) * ins], w.astype(np.int64)[g * outs:(g + 1) * outs])
                           for g in range(group)], 1)


def convolution(kind, x, w, types, zero, stride=1, pad=0, dilation=1, group=1):
    """ConvInteger, QLinearConv or a Conv between floats that were integers."""
    x, w = drawn(types[0], x), drawn(types[1], w)
    zx, zw = np.array(zero, types[0]), np.zeros(w.shape[0], types[1])
    if types[1] == U8:
        zw += 128
    exact = windows(x, zx, w.astype(np.int64) - int(zw[0]), stride, pad, dilation, group)
    way = dict(strides=[stride] * 2, pads=[pad] * 4, dilations=[dilation] * 2, group=group)
    name = f"{kind} {x.shape} {w.shape} / {stride}, {types[0].__name__} - {zero} {types[1].__name__}"
    given = {"w": w, "zx": zx, "zw": zw}
    if kind == "integer":
        return name, [helper.make_node("ConvInteger", ["x", "w", "zx", "zw"], ["y"], **way)], {"x": x}, given, exact.astype(np.int32)
    sx, sw, sy = np.array(0.02, np.float32), rng.random(w.shape[0]).astype(np.float32), np.array(60, np.float32)
    given |= {"sx": sx, "sw": sw}
    by = (np.float64(sx) * sw)[:, None, None]
    if kind == "dequantized":
        bias = rng.standard_normal(w.shape[0]).astype(np.float32)
        nodes = [helper.make_node("DequantizeLinear", ["x", "sx", "zx"], ["fx"]),
                 helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["fw"], axis=0),
                 helper.make_node("Conv", ["fx", "fw", "bias"], ["y"], **way)]
        return name, nodes, {"x": x}, given | {"bias": bias}, (exact * by + bias[:, None, None]).astype(np.float32)
    zy = np.array(100, types[0])
    info = np.iinfo(types[0])
    want = np.clip(np.rint(exact * (by / np.float64(sy))) + 100, info.min, info.max).astype(types[0])
    return (name, [helper.make_node("QLinearConv", ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy"], ["y"], **way)], {"x": x},
            given | {"sy": sy, "zy": zy}, want)


def chain(dtype, zx, zq, outs=40):
    """Two convolutions, an activation, a pool and a sum between bytes. All scales are powers of two: floats are exact."""
    info = np.iinfo(dtype)
    x, w = drawn(dtype, (2, 20, 10, 9)), [drawn(S8, (outs, 20, 3, 3)), drawn(S8, (outs, outs, 1, 1))]
    bias = (rng.integers(-50, 50, outs) / 16).astype(np.float32)
    sx, sw, sq = np.float32(1 / 32), (2.0 ** rng.integers(-9, -5, outs)).astype(np.float32), np.float32(1 / 2)

    def quantized(v):
        return np.clip(np.rint(v / sq) + zq, info.min, info.max).astype(dtype)

    a = quantized(np.maximum(windows(x, zx, w[0], 1, 1, 1, 1) * (sx * sw)[:, None, None] + bias[:, None, None], 0))
    pooled = np.lib.stride_tricks.sliding_window_view(a, (2, 2), (2, 3)).max((4, 5))
    want = quantized(windows(pooled, zq, w[1], 1, 0, 1, 1) * (sq * sw)[:, None, None] + (pooled.astype(np.float64) - zq) * sq)
    nodes = [helper.make_node("DequantizeLinear", ["x", "sx", "zx"], ["fx"]),
             helper.make_node("DequantizeLinear", ["w0", "sw", "zw"], ["f0"], axis=0),
             helper.make_node("DequantizeLinear", ["w1", "sw", "zw"], ["f1"], axis=0),
             helper.make_node("Conv", ["fx", "f0", "bias"], ["c"], pads=[1] * 4), helper.make_node("Relu", ["c"], ["r"]),
             helper.make_node("QuantizeLinear", ["r", "sq", "zq"], ["q"]), helper.make_node("MaxPool", ["q"], ["p"], kernel_shape=[2, 2]),
             helper.make_node("DequantizeLinear", ["p", "sq", "zq"], ["fp"]), helper.make_node("Conv", ["fp", "f1"], ["d"]),
             helper.make_node("Add", ["d", "fp"], ["s"]), helper.make_node("QuantizeLinear", ["s", "sq", "zq"], ["y"])]
    given = {"w0": w[0], "w1": w[1], "bias": bias, "sx": sx, "sw": sw, "sq": sq, "zx": np.array(zx, dtype), "zq": np.array(zq, dtype),
             "zw": np.zeros(outs, S8)}
    return f"chain {dtype.__name__}", nodes, {"x": x}, {n: np.asarray(v) for n, v in given.items()}, want


MODELS = [
    integer(12, 32, 64, (U8, S8), (0, 0)), integer(33, 17, 65, (U8, S8), (128, 0)), integer(13, 50, 66, (U8, S8), (255, -128), ends=True),
    integer(1, 512, 67, (U8, S8), (7, 3)), integer(5, 3, 3, (U8, S8), (7, None)), integer(2, 16, 1, (U8, S8), (None, 127)),
    integer(31, 70, 130, (U8, U8), (0, 128)), integer(4, 70, 131, (U8, U8), (255, 255), ends=True), integer(6, 9, 34, (U8, U8), (None, None)),
    integer(25, 48, 100, (S8, S8), (-128, 127), ends=True), integer(3, 33, 5, (S8, S8), (0, 0), ends=True), integer(14, 20, 64, (S8, U8), (None, 128)),
    integer(7, 19, 33, (U8, S8), (9, 5), batch=(2, 3)), integer(8, 8, 70000, (U8, U8), (0, 0), ends=True),
    integer(5, 40, 3000, (S8, S8), (-128, 0), ends=True), integer(9, 11, 20, (S8, S8), (1, None), weight=False, batch=(2,)),
    requantized(12, 64, 128, (U8, S8), (128, 0), U8, 100), requantized(7, 19, 65, (S8, S8), (3, 0), S8, -5),
    requantized(30, 33, 66, (U8, U8), (128, 128), U8, 0, columns=False), requantized(1, 100, 64, (U8, S8), (1, 0), S8, 127),
    dynamic(16, 40, 70), dynamic(1, 64, 64),
    dequantized(20, 33, 67, (U8, S8), (128, 0)), dequantized(9, 48, 128, (S8, S8), (0, 3)), dequantized(12, 20, 64, (U8, U8), (7, 128), columns=False),
    convolution("integer", (1, 16, 9, 9), (24, 16, 3, 3), (U8, S8), 7, pad=1), convolution("integer", (2, 8, 7, 8), (16, 8, 1, 1), (S8, S8), -128),
    convolution("integer", (1, 16, 10, 10), (16, 8, 3, 3), (U8, U8), 255, stride=2, pad=1, group=2),
    convolution("integer", (1, 40, 8, 8), (16, 40, 3, 3), (U8, S8), 128, pad=2, dilation=2),
    convolution("scaled", (1, 16, 8, 8), (24, 16, 3, 3), (U8, S8), 128, pad=1), convolution("scaled", (1, 16, 8, 8), (33, 16, 3, 3), (S8, S8), -5, pad=1, stride=2),
    convolution("integer", (1, 3, 11, 11), (32, 3, 3, 3), (U8, S8), 128, stride=2, pad=1),
    convolution("integer", (2, 32, 7, 7), (32, 32, 3, 3), (U8, S8), 3, pad=1), convolution("integer", (1, 64, 9, 5), (48, 64, 1, 1), (S8, S8), -3, stride=2),
    convolution("integer", (1, 32, 6, 6), (32, 16, 3, 3), (U8, S8), 9, pad=1, group=2), convolution("integer", (1, 24, 6, 6), (64, 12, 2, 2), (S8, S8), 9, group=2),
    convolution("integer", (1, 30, 6, 9), (64, 30, 3, 2), (U8, U8), 255), convolution("integer", (1, 32, 5, 5), (32, 1, 3, 3), (U8, S8), 5, pad=1, group=32),
    convolution("scaled", (1, 80, 6, 6), (64, 80, 3, 3), (U8, S8), 100, pad=1), convolution("scaled", (1, 64, 5, 7), (32, 64, 1, 1), (S8, S8), 4),
    chain(U8, 7, 3), chain(S8, -9, -128),
    convolution("dequantized", (1, 16, 8, 8), (24, 16, 3, 3), (U8, S8), 100, pad=1), convolution("dequantized", (2, 12, 9, 9), (16, 12, 1, 1), (S8, S8), 0),
]


def main():
    device, options = sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]
    istc, ist_run = shutil.which("istc"), shutil.which("ist-run")
    with tempfile.TemporaryDirectory() as work:
        for name, nodes, feeds, weights, want in MODELS:
            onnx.save(model(nodes, feeds, weights, want), f"{work}/m.onnx")
            made = subprocess.run([istc, f"{work}/m.onnx", "-o", f"{work}/m.ist", *options], capture_output=True, text=True)
            checks.check(made.returncode == 0, f"{name}: {made.stderr[:600]}", quiet=True)
            if made.returncode:
                continue
            command = [ist_run, f"{work}/m.ist", f"--output=@{work}/y.npy", *(f"--device={d}" for d in device)]
            for n, x in feeds.items():
                np.save(f"{work}/{n}.npy", x)
                command.append(f"--input={n}=@{work}/{n}.npy")
            ran = subprocess.run(command, capture_output=True, text=True)
            checks.check(ran.returncode == 0, f"{name}: {ran.stderr[:600]}", quiet=True)
            if ran.returncode:
                continue
            got = np.load(f"{work}/y.npy")
            limit = 0 if want.dtype.kind in "iu" else 1e-5 * np.abs(want).max()
            far = np.abs(got.astype(np.float64) - want)
            checks.check(got.dtype == want.dtype and got.shape == want.shape and far.max() <= limit,
                         f"{name}: off by {far.max()} in {np.count_nonzero(far > limit)} places", quiet=True)
    print(f"{len(MODELS)} models, {checks.failures} failures")
    return checks.failures != 0


if __name__ == "__main__":
    sys.exit(main())
