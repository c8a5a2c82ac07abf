"""ONNX graphs written node by node, and weights drawn for them.

A drawn weight depends on the graph's seed and its own name alone. The scale is
that of a trained net, so that activations stay of order one through all layers.
"""

import os
import zlib

import numpy as np
from onnx import TensorProto, helper, save


class Graph:
    def __init__(self):
        self.nodes, self.initializers, self.known = [], [], set()

    def constant(self, name, dtype, dims, values):
        if name not in self.known:
            self.known.add(name)
            self.initializers.append(helper.make_tensor(name, dtype, dims, values))
        return name

    def ints(self, *values):
        return self.constant("ints_" + "_".join(map(str, values)), TensorProto.INT64, [len(values)], values)

    def int(self, value):
        return self.constant(f"int_{value}", TensorProto.INT64, [], [value])

    def number(self, value):
        return self.constant(f"number_{value!r}", TensorProto.FLOAT, [], [value])

    def op(self, kind, inputs, name, **attributes):
        outputs = name if isinstance(name, list) else [name]
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))
        return name

    def external(self, name, dims, dtype, file, offset, length):
        tensor = TensorProto(name=name, dims=dims, data_type=dtype, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", file), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self.initializers.append(tensor)

    def model(self, name, inputs, outputs):
        model = helper.make_model(helper.make_graph(self.nodes, name, inputs, outputs, self.initializers),
                                  opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        return model

    # --- what transformers are made of ---------------------------------------

    def gelu(self, x, name):
        y = self.op("Div", [x, self.number(float(np.sqrt(np.float32(2))))], f"{name}/div")
        y = self.op("Erf", [y], f"{name}/erf")
        y = self.op("Add", [y, self.number(1.0)], f"{name}/add")
        y = self.op("Mul", [x, y], f"{name}/mul")
        return self.op("Mul", [y, self.number(0.5)], name)

    def gelu_tanh(self, x, name):
        """GPT-2's."""
        y = self.op("Pow", [x, self.number(3.0)], f"{name}/cube")
        y = self.op("Mul", [y, self.number(0.044715)], f"{name}/scaled")
        y = self.op("Add", [x, y], f"{name}/sum")
        y = self.op("Mul", [y, self.number(float(np.float32(np.sqrt(2 / np.pi))))], f"{name}/argument")
        y = self.op("Tanh", [y], f"{name}/tanh")
        y = self.op("Add", [y, self.number(1.0)], f"{name}/add")
        half = self.op("Mul", [x, self.number(0.5)], f"{name}/half")
        return self.op("Mul", [half, y], name)


class Drawn(Graph):
    """Weights go to `file`, which several graphs of equal weights may share."""

    def __init__(self, file, seed):
        super().__init__()
        self.file, self.seed, self.table, self.end = file, seed, [], 0

    def drawn(self, name, dims, kind, scale=1.0):
        if name in self.known:
            return name
        self.known.add(name)
        length = 4 * int(np.prod(dims))
        self.external(name, dims, TensorProto.FLOAT, os.path.basename(self.file), self.end, length)
        self.table.append((name, dims, kind, scale, self.end))
        self.end += length + -length % 64
        return name

    def normal(self, name, dims, scale):
        return self.drawn(name, dims, "normal", scale)

    def near_one(self, name, dims):
        return self.drawn(name, dims, "near one")

    def linear(self, x, width, out, name, bias=True, gain=1.0):
        y = self.op("MatMul", [x, self.normal(f"{name}.weight", [width, out], gain / np.sqrt(width))],
                    f"{name}/matmul" if bias else name)
        return self.op("Add", [y, self.normal(f"{name}.bias", [out], 0.1)], name) if bias else y

    def layer_norm(self, x, width, name, epsilon=1e-5):
        return self.op("LayerNormalization", [x, self.near_one(f"{name}.weight", [width]),
                                              self.normal(f"{name}.bias", [width], 0.1)], name, axis=-1, epsilon=epsilon)

    def write_weights(self):
        with open(self.file + ".part", "wb") as f:
            for name, dims, kind, scale, offset in self.table:
                random = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
                if kind == "normal":
                    values = random.standard_normal(dims, np.float32) * np.float32(scale)
                else:
                    values = random.uniform(0.8, 1.2, dims).astype(np.float32)
                f.seek(offset)
                f.write(values.tobytes())
        os.rename(self.file + ".part", self.file)

    def save(self, model, path, sources):
        """Writes the model, and the weights unless they are there and no older than `sources`."""
        newest = max(os.path.getmtime(s) for s in [__file__, *sources])
        if not os.path.exists(self.file) or os.path.getmtime(self.file) < newest:
            self.write_weights()
        save(model, path)
        return path
