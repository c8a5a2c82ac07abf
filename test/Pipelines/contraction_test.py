"""Matrix products with a packed right side: rows and columns left over.

Rows that are known and such that are not, below, at and above a tile's; columns
that fill a part of the last panel.
"""

import sys

import numpy as np
from onnx import numpy_helper

import against_ort
from against_ort import F16, F32, node, rng, weight

SIZES = {"m": [1, 2, 3, 4, 7, 12, 13, 24, 29]}
VARIANTS = [["--target=cpu:x86-64-v3"], ["--target=cpu:x86-64-v2"], ["--test-refuse-plans=1"]]
COLUMNS = [1, 3, 8, 17, 31, 48, 70, 130]
WEIGHTS = [weight(f"w{n}", 19, n) for n in COLUMNS] + [weight("b70", 70)]


def product(rows, columns):
    return [node("MatMul", f"x w{columns}", "y")], {"x": (F32, [rows, 19])}, {"y": F32}, WEIGHTS, None


MODELS = {f"rows_{columns}": product("m", columns) for columns in COLUMNS}
MODELS.update({f"{m}_by_{n}": product(m, n) for m, n in
               [(1, 130), (2, 70), (4, 130), (5, 31), (6, 70), (7, 48), (9, 130), (13, 17), (25, 70), (150, 31)]})
MODELS["bias"] = ([node("MatMul", "x w70", "a"), node("Add", "a b70", "c"), node("Relu", "c", "y")],
                  {"x": (F32, ["m", 19])}, {"y": F32}, WEIGHTS, None)
MODELS["batch"] = ([node("MatMul", "x w70", "y")], {"x": (F32, [3, "m", 19])}, {"y": F32}, WEIGHTS, None)
MODELS["both_inputs"] = ([node("MatMul", "x z", "y")], {"x": (F32, ["m", 19]), "z": (F32, [19, 37])}, {"y": F32}, [], None)

HALVES = [numpy_helper.from_array(rng.standard_normal(shape).astype(np.float16), name) for name, shape in
          [("h3", (19, 3)), ("h17", (19, 17)), ("h70", (19, 70)), ("hb70", (70,)), ("h5_190", (190, 5))]]
for columns in (3, 17, 70):
    MODELS[f"half_{columns}"] = ([node("MatMul", f"x h{columns}", "y")], {"x": (F16, ["m", 19])}, {"y": F16}, HALVES, None)
MODELS["half_few_columns"] = ([node("MatMul", "x h5_190", "y")], {"x": (F16, ["m", 190])}, {"y": F16}, HALVES, None)
MODELS["half_bias"] = ([node("MatMul", "x h70", "a"), node("Add", "a hb70", "c"), node("Relu", "c", "y")],
                       {"x": (F16, ["m", 19])}, {"y": F16}, HALVES, 2)  # with that which packs
MODELS["half_inputs"] = ([node("MatMul", "x z", "y")], {"x": (F16, [2, "m", 19]), "z": (F16, [2, 19, 37])}, {"y": F16}, [], None)
MODELS["half_turned"] = ([node("Transpose", "z", "t", perm=[1, 0]), node("MatMul", "x t", "y")],
                         {"x": (F16, ["m", 19]), "z": (F16, [37, 19])}, {"y": F16}, [], None)

sys.exit(against_ort.main(MODELS, SIZES, VARIANTS))
