"""small.py FILE: writes a small model with convolutions, products and a softmax."""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(1)
weights, nodes = [], []


def weight(name, *shape):
    weights.append(numpy_helper.from_array((rng.standard_normal(shape) * 0.3).astype(np.float32), name))
    return name


def node(op, inputs, out, **attributes):
    nodes.append(helper.make_node(op, inputs, [out], name=op + "_" + out, **attributes))
    return out


t = node("Conv", ["x", weight("w0", 8, 3, 3, 3), weight("b0", 8)], "c0", pads=[1, 1, 1, 1])
t = node("Relu", [t], "r0")
t = node("MaxPool", [t], "p0", kernel_shape=[2, 2], strides=[2, 2])
t = node("Conv", [t, weight("w1", 16, 8, 3, 3), weight("b1", 16)], "c1", pads=[1, 1, 1, 1])
t = node("Sigmoid", [t], "s1")
t = node("GlobalAveragePool", [t], "g")
t = node("Flatten", [t], "f")
for i, (m, n) in enumerate([(16, 32), (32, 32), (32, 10)]):
    t = node("MatMul", [t, weight(f"m{i}", m, n)], f"mm{i}")
    t = node("Add", [t, weight(f"a{i}", n)], f"ad{i}")
    t = node("LayerNormalization", [t, weight(f"ls{i}", n), weight(f"lb{i}", n)], f"ln{i}")
t = node("Softmax", [t], "y", axis=-1)
x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 12, 12])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])
graph = helper.make_graph(nodes, "small", [x], [y], weights)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), sys.argv[1])
