"""Products with vectors along k: few columns of a weight, few rows by a transposed one;
and such that read heads where they are, without copies.

Columns and k at, below and above what a vector and a tile hold; rows that are known
and such that are not.
"""

import sys

import numpy as np
from onnx import numpy_helper

import against_ort
from against_ort import F32, node, weight

SIZES = {"m": [1, 3, 16, 29], "t": [1, 5, 16, 33]}
VARIANTS = [["--target=cpu:x86-64-v3"], ["--target=cpu:x86-64-v2"], ["--test-refuse-plans=1"]]
SHAPES = [(n, k) for n in (1, 2, 3, 4, 5, 6) for k in (130, 176)]
WEIGHTS = [weight(f"w{n}_{k}", k, n) for n, k in SHAPES] + [weight("v3_131", 3, 131), weight("b4", 4), weight("g150", 150)]


def product(rows, n, k):
    return [node("MatMul", f"x w{n}_{k}", "y")], {"x": (F32, [rows, k])}, {"y": F32}, WEIGHTS, None


def scores(rows, d, heads=(2, 3)):
    """As attention makes them."""
    return ([node("Transpose", "z", "zt", perm=[0, 1, 3, 2]), node("MatMul", "x zt", "y")],
            {"x": (F32, [*heads, rows, d]), "z": (F32, [*heads, "t", d])}, {"y": F32}, [], None)


MODELS = {f"{n}_columns_of_{k}": product("m", n, k) for n, k in SHAPES}
MODELS.update({f"{m}_by_{n}": product(m, n, 130) for m, n in [(1, 1), (1, 4), (2, 3), (7, 5), (16, 1), (33, 2)]})
MODELS.update({f"scores_{m}_{d}": scores(m, d) for m, d in [(1, 64), (1, 33), (2, 64), (3, 40), (5, 64), (8, 7), (9, 64)]})
MODELS["gemm"] = ([node("Gemm", "x v3_131", "y", transB=1)], {"x": (F32, ["m", 131])}, {"y": F32}, WEIGHTS, None)
MODELS["bias"] = ([node("MatMul", "x w4_130", "a"), node("Add", "a b4", "c"), node("Relu", "c", "y")],
                  {"x": (F32, ["m", 130])}, {"y": F32}, WEIGHTS, None)
MODELS["vector"] = ([node("MatMul", "x g150", "a"), node("Sigmoid", "a", "y")], {"x": (F32, ["m", 150])}, {"y": F32}, WEIGHTS, None)
MODELS["scaled_scores"] = ([node("Transpose", "z", "zt", perm=[0, 1, 3, 2]), node("MatMul", "x zt", "s"), node("Add", "s m", "y")],
                           {"x": (F32, [1, 4, 1, 64]), "z": (F32, [1, 4, "t", 64]), "m": (F32, [1, 1, 1, "t"])}, {"y": F32}, [], None)

INTS = [numpy_helper.from_array(np.array(v, np.int64), name) for name, v in
        [("two", [2]), ("thrice", [1, 2, 3, 1, 64]), ("six", [1, 6, -1, 64])]]


def grouped(rows, alone, turned):
    """Heads of keys, or of values, that three heads of queries share."""
    repeat = [node("Unsqueeze", "z two", "z5"), node("Expand", "z5 thrice", "ze"), node("Reshape", "ze six", "zr")]
    turn = [node("Transpose", "zr", "zt", perm=[0, 1, 3, 2])] if turned else []
    x = (F32, [1, 6, rows, 64 if turned else "t"])
    return ([*repeat, *turn, node("MatMul", "x zt" if turned else "x zr", "y")],
            {"x": x, "z": (F32, [1, 2, "t", 64])}, {"y": F32}, INTS, 1 if alone else None)


for rows in (1, 4, 33):
    MODELS[f"grouped_keys_{rows}"] = grouped(rows, rows < 9, True)
    MODELS[f"grouped_values_{rows}"] = grouped(rows, True, False)

sys.exit(against_ort.main(MODELS, SIZES, VARIANTS))
