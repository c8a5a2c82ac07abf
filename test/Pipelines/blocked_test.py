"""Convolutions with channels in blocks, and what stands between them: numbers.

Images of odd sizes, strides, dilations, groups, pads of every side; operations
that take blocks on, and such that need channels first in between.
"""

import sys

import numpy as np
from onnx import helper, numpy_helper

import against_ort
from against_ort import BOOL, F16, F32, node, scalar, weight

SIZES = {"n": [1, 3]}
VARIANTS = [["--target=cpu:x86-64-v3"], ["--target=cpu:x86-64-v2"], ["--test-refuse-plans=1"]]
SAME = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
WEIGHTS = [
    weight("w3", 32, 3, 7, 7), weight("w64", 64, 64, 3, 3), weight("w32", 48, 32, 3, 3), weight("w48", 32, 48, 3, 3), weight("w1", 64, 32, 1, 1),
    weight("wg", 64, 16, 3, 3), weight("wd", 32, 1, 3, 3), weight("w24", 32, 24, 3, 3), weight("w11", 32, 3, 11, 11),
    weight("wr", 32, 32, 1, 1), weight("wrow", 32, 32, 1, 3), weight("squeeze", 16, 32, 1, 1),
    weight("excite", 32, 16, 1, 1), weight("b32", 32), weight("b48", 48), weight("b64", 64), weight("scale", 32),
    weight("mean", 32), weight("fc", 32 * 12, 10), weight("c1", 1, 32, 1, 1),
    scalar("var", np.abs(against_ort.rng.standard_normal(32)) + 1), scalar("flat", [-1, 32 * 12], np.int64),
    scalar("two", [1, 1, 2, 2]),
    # 24 and 29 are no number of blocks for every target: lanes are left over.
    weight("to24", 24, 32, 3, 3), weight("from24", 32, 24, 3, 3), weight("d24", 24, 1, 3, 3), weight("b24", 24),
    weight("to29", 29, 32, 1, 1), weight("b29", 29), weight("c24", 24, 1, 1), weight("k5", 24, 32, 5),
    weight("k3", 32, 24, 3), weight("column", 24, 32, 5, 1), weight("c24_1", 1, 24, 1),
    weight("few", 3, 32, 3, 3), weight("few1", 3, 32, 1, 1), weight("b3", 3), scalar("low24", [-300.0] * 24), scalar("much", 300.0),
    scalar("more", 225.0), scalar("less", 1e-3),
]
SIGNAL, COLUMN = {"x": (F32, ["n", 32, 37])}, {"x": (F32, ["n", 32, 37, 1])}
IMAGE, X = {"x": (F32, ["n", 3, 30, 25])}, {"x": (F32, ["n", 32, 13, 11])}


def convolution(weights, output="y", source="x", **attributes):
    return node("Conv", f"{source} {weights}", output, **attributes)


FIRST = convolution("w32 b48", "a", **SAME)
def branch(output, *nodes):
    return helper.make_graph(nodes, output, [], [helper.make_tensor_value_info(output, F32, None)])


WIDE = {"x": (F32, ["n", 64, 6, 7])}
MODELS = {
    # What a branch packs is not there for the other one, nor after it.
    "branches": ([helper.make_node("If", ["c"], ["a"], "a",
                                   then_branch=branch("t", convolution("w64", "t", **SAME)),
                                   else_branch=branch("e", convolution("w64", "f", **SAME), node("Relu", "f", "e"))),
                  convolution("w64", "d", **SAME), node("Add", "a d", "y")],
                 {**WIDE, "c": (BOOL, [])}),
    "first": ([convolution("w3 b32", kernel_shape=[7, 7], strides=[2, 2], pads=[3, 3, 3, 3])], IMAGE),
    "stride_4": ([convolution("w11", strides=[4, 4])], IMAGE),
    "relu": ([FIRST, node("Relu", "a", "y")], X),
    "two": ([FIRST, node("Relu", "a", "r"), convolution("w48 b32", source="r", **SAME)], X),
    "pads": ([FIRST, convolution("w48", source="a", pads=[0, 2, 1, 0])], X),
    "many_channels": ([convolution("w64", "a", **SAME), convolution("w64", "z", pads=[1, 0, 0, 1]),
                       node("Add", "a x", "y")], WIDE),
    "dilated": ([FIRST, convolution("w48", source="a", dilations=[2, 3], pads=[2, 3, 2, 3])], X),
    "pointwise": ([convolution("wr", "a"), convolution("w1 b64", "c", "a"), node("Relu", "c", "y")], X),
    "pointwise_stride": ([convolution("wr", "a"), convolution("w1", source="a", strides=[2, 2])], X),
    "row": ([convolution("wr", "a"), convolution("wrow", source="a", strides=[2, 1], pads=[0, 1, 0, 1])], X),
    "residual": ([convolution("wr b32", "a"), convolution("wr", "c", "a"), node("Add", "c a", "d"),
                  node("Relu", "d", "y")], X),
    "groups": ([convolution("wr", "a"), convolution("w1", "c", "a"), node("Relu", "c", "d"),
                node("Split", "d half", "e f", axis=1),
                convolution("wg b64", source="f", group=2, **SAME)], X),
    "groups_blocked": ([convolution("wr", "a"), convolution("wg b64", source="a", group=2, **SAME)], X),
    "depthwise": ([convolution("wr", "a"), convolution("wd b32", "c", "a", group=32, **SAME), node("Relu", "c", "y")], X),
    "depthwise_stride": ([convolution("wr", "a"),
                          convolution("wd", source="a", group=32, strides=[2, 2], pads=[0, 1, 1, 0])], X),
    "norm": ([convolution("wr", "a"), node("BatchNormalization", "a scale b32 mean var", "c"), node("Relu", "c", "d"),
              node("Mul", "d c1", "y")], X),
    "max_pool": ([convolution("wr", "a"), node("MaxPool", "a", "y", kernel_shape=[3, 3], strides=[2, 2],
                                               pads=[1, 0, 1, 1])], X),
    "average_pool": ([convolution("wr", "a"), node("AveragePool", "a", "y", kernel_shape=[3, 2], strides=[2, 1],
                                                   pads=[1, 1, 1, 0])], X),
    "mean": ([convolution("wr", "a"), node("GlobalAveragePool", "a", "y")], X),
    "squeeze_excite": ([convolution("wr", "a"), node("GlobalAveragePool", "a", "m"), convolution("squeeze", "s", "m"),
                        node("Relu", "s", "r"), convolution("excite b32", "e", "r"), node("Sigmoid", "e", "g"),
                        node("Mul", "a g", "y")], X),
    "concat": ([FIRST, convolution("wr", "c"), node("Concat", "a c", "y", axis=1)], X),
    "concat_plain": ([convolution("wr", "c"), node("Concat", "x c c", "y", axis=1)], X),
    "concat_rows": ([convolution("wr", "c"), node("Concat", "c c", "y", axis=2)], X),
    "odd_channels": ([node("Split", "x odd", "a c", axis=1), convolution("w24 b32", source="a", **SAME)], X),
    "both": ([convolution("wr", "a"), node("Neg", "a", "z"), node("Transpose", "a", "y", perm=[0, 2, 3, 1])], X),
    "lrn": ([convolution("wr", "a"), node("LRN", "a", "c", size=5), convolution("wr", source="c")], X),
    "resize": ([convolution("wr", "a"), helper.make_node("Resize", ["a", "", "two"], ["y"], "y", mode="nearest")], X),
    "left_over": ([convolution("to24 b24", "a", **SAME), node("Relu", "a", "c"),
                   convolution("from24", source="c", **SAME)], X),
    "left_over_infinite": ([convolution("to24", "a", **SAME), node("Reciprocal", "a", "c"), node("Tanh", "c", "d"),
                            convolution("from24", source="d")], X),
    "left_over_infinite_conv": ([convolution("to24 b24", "a", **SAME), node("Exp", "a", "c"),
                                 node("Reciprocal", "c", "d"), node("Clip", "d zero one", "e"),
                                 convolution("from24", source="e")], X),
    # In f16 a lane of no channel could be what f16 has not, times zero.
    "left_over_added": ([convolution("to24 low24", "a", **SAME), node("Add", "a much", "c"), node("Mul", "c more", "d"),
                         node("Mul", "d less", "e"), convolution("from24", source="e")], X),
    # With few channels of its own: channels stay first.
    "plain": ([convolution("few", "a", pads=[1, 2, 1, 0]), node("Relu", "a", "y")], X),
    "plain_stride": ([convolution("few b3", strides=[2, 2])], X),
    "plain_row": ([convolution("few1 b3")], X),
    "left_over_channels": ([convolution("to24", "a", **SAME), node("Mul", "a c24", "c"),
                            convolution("from24", source="c")], X),
    "left_over_pool": ([convolution("to24", "a", **SAME), node("MaxPool", "a", "c", kernel_shape=[2, 2]),
                        convolution("from24", source="c")], X),
    "left_over_depthwise": ([convolution("to24", "a", **SAME), convolution("d24 b24", "c", "a", group=24),
                             convolution("from24", source="c")], X),
    "left_over_mean": ([convolution("to29 b29", "a"), node("Relu", "a", "r"), node("GlobalAveragePool", "r", "y")], X),
    "left_over_concat": ([convolution("to29", "a"), convolution("wr", "c"), node("Concat", "a c", "y", axis=1)], X),
    "signal": ([convolution("k5 b24", "a", pads=[2, 1]), node("Relu", "a", "r"),
                convolution("k3", source="r", strides=[2], dilations=[3])], SIGNAL),
    "column": ([convolution("column b24", "a"), node("Squeeze", "a axis3", "s"), node("Mul", "s c24_1", "m"),
                node("GlobalMaxPool", "m", "y")], COLUMN),
    "linear": ([convolution("wr", "a"), node("MaxPool", "a", "p", kernel_shape=[4, 4], strides=[3, 3]),
                node("Reshape", "p flat", "f"), node("MatMul", "f fc", "y")], X),
}
SPLITS = [scalar("zero", 0.0), scalar("one", 1.0), scalar("axis3", [3], np.int64), scalar("half", [32, 32], np.int64), scalar("odd", [24, 8], np.int64)]


def whole(nodes, inputs):
    outputs = {"y": F32, "z": F32} if any("z" in n.output for n in nodes) else {"y": F32}
    return nodes, inputs, outputs, WEIGHTS + SPLITS, None


# The same in f16, with f32 only where ONNX has it.
HALVES = ["stride_4", "two", "many_channels", "dilated", "pointwise", "row", "residual", "groups_blocked", "depthwise",
          "depthwise_stride", "norm", "max_pool", "average_pool", "mean", "concat", "left_over",
          "left_over_infinite_conv", "left_over_added", "left_over_channels", "left_over_depthwise", "signal", "column",
          "plain", "plain_stride", "plain_row"]


def half(nodes, inputs):
    narrow = [numpy_helper.from_array(a.astype(np.float16) if a.dtype == np.float32 else a, w.name)
              for w in WEIGHTS + SPLITS for a in [numpy_helper.to_array(w)]]
    return nodes, {name: (F16, dims) for name, (_, dims) in inputs.items()}, {"y": F16}, narrow, None


failed = against_ort.main({name: whole(*model) for name, model in MODELS.items()}, SIZES, VARIANTS)
failed |= against_ort.main({f"half_{name}": half(*MODELS[name]) for name in HALVES}, SIZES, VARIANTS[1:])
sys.exit(failed)
