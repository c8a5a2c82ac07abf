"""Pow where exp(e log x) has no answer: negative bases, zeros, infinities; and of integers, exactly."""

import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

import checks

INF, NAN = np.inf, np.nan
BASES = np.array([0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3.7, -3.7, INF, -INF, NAN], np.float32)
EXPONENTS = np.array([0, 1, -1, 2, -2, 3, -3, 5, 0.5, -0.5, 2.5, INF, -INF, NAN, 1e10], np.float32)


def ours(work, x, e, constant):
    kinds = [helper.np_dtype_to_tensor_dtype(v.dtype) for v in (x, e)]
    value = helper.make_tensor_value_info
    inputs = [value("x", kinds[0], x.shape)] + ([] if constant else [value("e", kinds[1], e.shape)])
    output = value("y", kinds[0], np.broadcast_shapes(x.shape, e.shape))
    graph = helper.make_graph([helper.make_node("Pow", ["x", "e"], ["y"])], "power", inputs, [output],
                              [numpy_helper.from_array(e, "e")] if constant else [])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), f"{work}/m.onnx")
    np.save(f"{work}/x.npy", x)
    np.save(f"{work}/e.npy", e)
    subprocess.run([shutil.which("istc"), f"{work}/m.onnx", "-o", f"{work}/m.ist"], check=True)
    subprocess.run([shutil.which("ist-run"), f"{work}/m.ist", f"--input=x=@{work}/x.npy", f"--output=y=@{work}/y.npy"]
                   + ([] if constant else [f"--input=e=@{work}/e.npy"]), check=True)
    return np.load(f"{work}/y.npy")


def compare(work, x, e, constant=False):
    got = ours(work, x, e, constant)
    x, e = np.broadcast_arrays(x, e)
    if x.dtype.kind == "f":
        want = np.power(x.astype(np.float64), e.astype(np.float64)).astype(x.dtype)
        right = (got == want) & (np.signbit(got) == np.signbit(want)) | np.isnan(got) & np.isnan(want)
        right |= np.abs(got - want) <= 1e-5 * np.abs(want)
    else:
        want = np.array([int(a) ** int(b) for a, b in zip(x.flat, e.flat)]).reshape(x.shape)
        right = got == want
    wrong = [f"{x[i]}^{e[i]} is {got[i]}, not {want[i]}" for i in zip(*np.nonzero(~right))]
    checks.check(not wrong, f"{x.dtype} ^ {'constant ' * constant}{e.dtype}: {len(wrong)} wrong {wrong[:3]}")


def main():
    with tempfile.TemporaryDirectory() as work, np.errstate(all="ignore"):
        for dtype in (np.float32, np.float64):
            compare(work, BASES.astype(dtype)[:, None], EXPONENTS.astype(dtype))
        for e in (3, -2, 2.5, 40):
            compare(work, BASES, np.array(e, np.float32), constant=True)
        base = np.arange(-10, 11)
        compare(work, base.astype(np.int32)[:, None], np.arange(9, dtype=np.int32))
        compare(work, base[:, None], np.arange(18))
        compare(work, np.array([-1, 1]), np.array([-3, 1001]))
        compare(work, base.astype(np.int32), np.array(3, np.float32), constant=True)
    return checks.failures != 0


if __name__ == "__main__":
    sys.exit(main())
