"""attention.py FILE DIM: writes a model of one causal attention in f16, with heads
of DIM elements."""

import sys

import onnx
from onnx import TensorProto, helper

path, dim = sys.argv[1], int(sys.argv[2])
q, k, v, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT16, [1, 4, 256, dim]) for n in "qkvy")
node = helper.make_node("Attention", ["q", "k", "v"], ["y"], is_causal=1)
graph = helper.make_graph([node], "g", [q, k, v], [y])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), path)
