"""Softmax, norms and reductions: how many kernels each is, and their numbers.

Over row counts and row lengths below, at and above a vector's.
"""

import sys

import numpy as np

import against_ort
from against_ort import BOOL, F16, F32, I32, node, scalar, weight

SIZES = {"n": [1, 7], "m": [1, 5, 16, 203], "b": [2], "s": [9, 64]}
VARIANTS = [["--target=cpu:x86-64-v2"], ["--test-refuse-plans=1"], ["--test-refuse-plans=3"], ["-O0"]]

NORM = [weight("scale", 70), weight("bias", 70), scalar("eps", 1e-5), scalar("two", 2)]
# name: nodes, inputs, outputs, initializers, kernels
MODELS = {
    "softmax": ([node("Softmax", "x", "y", axis=-1)], {"x": (F32, ["n", "m"])}, {"y": F32}, [], 1),
    "log_softmax": ([node("LogSoftmax", "x", "y", axis=-1)], {"x": (F32, ["n", "m"])}, {"y": F32}, [], 1),
    "softmax_fixed": ([node("Softmax", "x", "y", axis=-1)], {"x": (F32, ["n", 77])}, {"y": F32}, [], 1),
    "softmax_channels": ([node("Softmax", "x", "y", axis=1)], {"x": (F32, ["n", 5, 6, 7])}, {"y": F32}, [], 1),
    "softmax_channels_m": ([node("Softmax", "x", "y", axis=0)], {"x": (F32, [6, "m"])}, {"y": F32}, [], 1),
    "softmax_f16": ([node("Softmax", "x", "y", axis=-1)], {"x": (F16, ["n", "m"])}, {"y": F16}, [], 1),
    "scores": ([node("Mul", "x eight", "a"), node("Where", "mask a low", "c"), node("Softmax", "c", "y", axis=-1)],
               {"x": (F32, ["b", 3, "s", "s"]), "mask": (BOOL, ["b", 1, 1, "s"])}, {"y": F32},
               [scalar("eight", 0.125), scalar("low", -1e9)], 1),
    "layer_norm": ([node("Add", "x z", "a"), node("LayerNormalization", "a scale bias", "y", axis=-1)],
                   {"x": (F32, ["n", 70]), "z": (F32, ["n", 70])}, {"y": F32}, NORM, 1),
    "residual": ([node("Add", "x z", "a"), node("LayerNormalization", "a scale bias", "y", axis=-1)],
                 {"x": (F32, ["n", 70]), "z": (F32, ["n", 70])}, {"y": F32, "a": F32}, NORM, 1),
    "norm_by_hand": ([node("ReduceMean", "x", "m", axes=[-1]), node("Sub", "x m", "c"), node("Pow", "c two", "p"),
                      node("ReduceMean", "p", "v", axes=[-1]), node("Add", "v eps", "e"), node("Sqrt", "e", "r"),
                      node("Div", "c r", "d"), node("Mul", "d scale", "f"), node("Add", "f bias", "y")],
                     {"x": (F32, ["n", 70])}, {"y": F32}, NORM, 1),
    "rms_norm": ([node("Mul", "x x", "q"), node("ReduceMean", "q", "m", axes=[-1]), node("Add", "m eps", "e"),
                  node("Sqrt", "e", "r"), node("Div", "x r", "d"), node("Mul", "d scale", "y")],
                 {"x": (F32, ["n", 70])}, {"y": F32, "r": F32}, NORM, 1),
    "two_norms": ([node("Softmax", "x", "a", axis=-1), node("Add", "a x", "c"), node("Softmax", "c", "y", axis=-1)],
                  {"x": (F32, ["n", "m"])}, {"y": F32}, [], 1),
    "instance_norm": ([node("InstanceNormalization", "x s5 b5", "y")], {"x": (F32, ["n", 5, 6, 7])}, {"y": F32},
                      [weight("s5", 5), weight("b5", 5)], 1),
    "group_norm": ([node("GroupNormalization", "x s6 b6", "y", num_groups=3)], {"x": (F32, ["n", 6, 5, 7])},
                   {"y": F32}, [weight("s6", 6), weight("b6", 6)], 1),
    "mean_hw": ([node("ReduceMean", "x", "y", axes=[2, 3])], {"x": (F32, ["n", 6, 7, 9])}, {"y": F32}, [], 1),
    "max_channels": ([node("ReduceMax", "x", "y", axes=[1])], {"x": (F32, ["n", 9, 5, "m"])}, {"y": F32}, [], 1),
    "l2_all": ([node("ReduceL2", "x", "r", axes=[0, 1]), node("Div", "x r", "y")], {"x": (F32, ["n", "m"])},
               {"y": F32}, [], 1),
    "sum_i32": ([node("ReduceSum", "x", "y", keepdims=0)], {"x": (I32, ["n", "m"])}, {"y": I32}, [], 1),
    "short": ([node("Softmax", "x", "y", axis=-1)], {"x": (F32, ["n", 3])}, {"y": F32}, [], None),
    # Whether z broadcasts is known when it is there; looked up lane by lane, or one element for all.
    "broadcast": ([node("Add", "x z", "a"), node("Softmax", "a", "y", axis=-1)],
                  {"x": (F32, ["n", "m"]), "z": (F32, ["n", "k"])}, {"y": F32}, [], 1),
    # Few long rows: over parts first, then over the parts.
    "long_sum": ([node("Mul", "x x", "q"), node("ReduceSum", "q axis1", "y", keepdims=0)], {"x": (F32, [3, 98304])},
                 {"y": F32}, [scalar("axis1", [1], np.int64)], 2),
    "long_softmax": ([node("Softmax", "x", "y", axis=-1)], {"x": (F32, [2, 65537 * 2])}, {"y": F32}, [], 6),
    "long_columns": ([node("ReduceMax", "x", "y", axes=[0], keepdims=0)], {"x": (F32, [65536, 5])}, {"y": F32}, [], 2),
    "long_i32": ([node("ReduceSum", "x", "y", keepdims=0)], {"x": (I32, [66, 1001])}, {"y": I32}, [], 2),
    # Reductions over different dims do not share rows.
    "two_axes": ([node("ReduceMax", "x", "a", axes=[0]), node("Sub", "x a", "c"), node("ReduceSum", "c one", "y")],
                 {"x": (F32, ["n", "m"])}, {"y": F32}, [scalar("one", [1], np.int64)], 2),
}

sys.exit(against_ort.main(MODELS, SIZES, VARIANTS))
