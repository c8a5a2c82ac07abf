"""relu.py FILE [TYPE]: writes a model of one Relu."""

import sys

import onnx
from onnx import TensorProto, helper

dtype = getattr(TensorProto, (sys.argv[2:] or ["FLOAT"])[0])
x, y = (helper.make_tensor_value_info(n, dtype, [4]) for n in "xy")
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), sys.argv[1])
