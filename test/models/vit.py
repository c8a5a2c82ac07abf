"""ViT-tiny (224 pixels, patches of 16, width 192, 3 heads, 12 layers) as ONNX.

The graph is that of common exports; the weights are drawn, see graphs.py.

    test/models/vit.py FOLDER     writes FOLDER/vit_tiny.onnx
"""

import os
import sys

import numpy as np
from onnx import TensorProto, checker, helper

from graphs import Drawn

PIXELS, PATCH, WIDTH, HEADS, LAYERS, CLASSES = 224, 16, 192, 3, 12, 1000


def attention(g, x, name):
    y = g.linear(x, WIDTH, 3 * WIDTH, f"{name}/qkv")
    y = g.op("Reshape", [y, g.ints(0, 0, 3, HEADS, WIDTH // HEADS)], f"{name}/qkv/heads")
    y = g.op("Transpose", [y], f"{name}/qkv/transpose", perm=[2, 0, 3, 1, 4])
    query, key, value = (g.op("Gather", [y, g.int(i)], f"{name}/{what}", axis=0)
                         for i, what in enumerate(("query", "key", "value")))
    query = g.op("Mul", [query, g.number(float(np.float32((WIDTH // HEADS) ** -0.5)))], f"{name}/scale")
    key = g.op("Transpose", [key], f"{name}/key/transpose", perm=[0, 1, 3, 2])
    scores = g.op("MatMul", [query, key], f"{name}/scores")
    y = g.op("MatMul", [g.op("Softmax", [scores], f"{name}/softmax", axis=-1), value], f"{name}/context")
    y = g.op("Transpose", [y], f"{name}/context/transpose", perm=[0, 2, 1, 3])
    y = g.op("Reshape", [y, g.ints(0, 0, WIDTH)], f"{name}/context/merge")
    return g.linear(y, WIDTH, WIDTH, f"{name}/output", gain=(2 * LAYERS) ** -0.5)


def graph(file):
    g = Drawn(file, seed=20)
    tokens = (PIXELS // PATCH) ** 2
    weight = g.normal("patches.weight", [WIDTH, 3, PATCH, PATCH], (3 * PATCH * PATCH) ** -0.5)
    x = g.op("Conv", ["pixels", weight, g.normal("patches.bias", [WIDTH], 0.1)], "patches", strides=[PATCH, PATCH],
             kernel_shape=[PATCH, PATCH])
    x = g.op("Reshape", [x, g.ints(0, WIDTH, tokens)], "patches/flat")
    x = g.op("Transpose", [x], "patches/tokens", perm=[0, 2, 1])
    batch = g.op("Gather", [g.op("Shape", ["pixels"], "shape"), g.ints(0)], "batch")
    dims = g.op("Concat", [batch, g.ints(1, WIDTH)], "class/dims", axis=0)
    first = g.op("Expand", [g.normal("class.weight", [1, 1, WIDTH], 1), dims], "class")
    x = g.op("Concat", [first, x], "tokens", axis=1)
    x = g.op("Add", [x, g.normal("positions.weight", [1, tokens + 1, WIDTH], 0.5)], "positions")
    for i in range(LAYERS):
        y = attention(g, g.layer_norm(x, WIDTH, f"layer{i}/norm1", 1e-6), f"layer{i}/attention")
        x = g.op("Add", [x, y], f"layer{i}/residual1")
        y = g.linear(g.layer_norm(x, WIDTH, f"layer{i}/norm2", 1e-6), WIDTH, 4 * WIDTH, f"layer{i}/up")
        y = g.linear(g.gelu(y, f"layer{i}/gelu"), 4 * WIDTH, WIDTH, f"layer{i}/down", gain=(2 * LAYERS) ** -0.5)
        x = g.op("Add", [x, y], f"layer{i}/residual2")
    x = g.layer_norm(x, WIDTH, "norm", 1e-6)
    x = g.op("Gather", [x, g.int(0)], "first", axis=1)
    head = g.normal("head.weight", [CLASSES, WIDTH], 2 * WIDTH ** -0.5)
    g.op("Gemm", [x, head, g.normal("head.bias", [CLASSES], 0.1)], "logits", transB=1)

    def value(name, dims):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *dims])

    return g, g.model("vit_tiny", [value("pixels", [3, PIXELS, PIXELS])], [value("logits", [CLASSES])])


def build(folder):
    g, model = graph(os.path.join(folder, "vit_tiny.bin"))
    return g.save(model, os.path.join(folder, "vit_tiny.onnx"), [__file__])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    made = build(sys.argv[1])
    checker.check_model(made)
    print(made)
