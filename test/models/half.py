"""A model in f16, as converters make it: weights, inputs, outputs and all between."""

import os

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

NARROW = {TensorProto.FLOAT: TensorProto.FLOAT16}
LARGEST = float(np.finfo(np.float16).max)


def tensor(t):
    """What f16 has no number for (a mask's lowest float) becomes its largest."""
    if t.data_type in NARROW:
        wide = numpy_helper.to_array(t)
        narrow = np.where(np.isinf(wide), wide, np.clip(wide, -LARGEST, LARGEST)).astype(np.float16)
        t.CopyFrom(numpy_helper.from_array(narrow, t.name))


def convert(source, folder):
    """The path of the model at `source` in f16."""
    path = os.path.join(folder, "model.onnx")
    if os.path.exists(path) and os.path.getmtime(path) > max(map(os.path.getmtime, (source, __file__))):
        return path
    model = onnx.load(source)
    for t in model.graph.initializer:
        tensor(t)
    for value in [*model.graph.input, *model.graph.output]:
        kind = value.type.tensor_type
        kind.elem_type = NARROW.get(kind.elem_type, kind.elem_type)
    del model.graph.value_info[:]
    for node in model.graph.node:
        for a in node.attribute:
            if a.type == onnx.AttributeProto.GRAPH or node.op_type in ("Resize", "Upsample"):
                raise ValueError(f"{node.op_type}: not written for this")
            if a.type == onnx.AttributeProto.TENSOR:
                tensor(a.t)
            elif node.op_type == "Cast" and a.name == "to":
                a.i = NARROW.get(a.i, a.i)
    onnx.save(model, path + ".part")
    os.rename(path + ".part", path)
    return path
