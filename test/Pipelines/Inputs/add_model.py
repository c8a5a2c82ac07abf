"""Writes a model that adds two tensors of 1024 floats."""

import sys

import onnx
from onnx import TensorProto, helper

tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1024]) for name in "xyz"]
graph = helper.make_graph([helper.make_node("Add", ["x", "y"], ["z"], "sum")], "add", tensors[:2], tensors[2:])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), sys.argv[1])
