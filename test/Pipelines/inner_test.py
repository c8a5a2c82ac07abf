"""Products with vectors along k: few columns of a weight, few rows by a transposed one.

Columns and k at, below and above what a vector and a tile hold; rows that are known
and such that are not.
"""

import sys

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

sys.exit(against_ort.main(MODELS, SIZES, VARIANTS))
