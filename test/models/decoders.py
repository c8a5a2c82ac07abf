"""Decoders as ONNX: GPT-2 (small), and a stack of Llama's layers.

Each comes as two graphs over the same weights: `prefill` reads a prompt,
`decode` reads one more token and the keys and values of all before it. Both give
the keys and values that the next call wants. The graphs are those of common
exports; the weights are drawn, see graphs.py. Batch, sequence and past are
symbolic.

    test/models/decoders.py FOLDER     writes FOLDER/{gpt2,llama}_{prefill,decode}.onnx
"""

import dataclasses
import os
import sys

import numpy as np
from onnx import TensorProto, checker, helper

from graphs import Drawn


@dataclasses.dataclass
class Config:
    name: str
    layers: int
    width: int
    heads: int
    groups: int  # heads of keys and values
    inner: int
    context: int
    words: int = 0  # 0: vectors come in and go out

    @property
    def head(self):
        return self.width // self.heads

    @property
    def gain(self):
        return (2 * self.layers) ** -0.5


GPT2 = Config("gpt2", 12, 768, 12, 12, 3072, 1024, 50257)
LLAMA = Config("llama", 4, 1024, 16, 4, 2816, 2048)


class Decoder:
    def __init__(self, config, decode, file, seed):
        self.c, self.decode, self.g = config, decode, Drawn(file, seed)

    def positions(self, source):
        """How many tokens this call reads and how many there are then; their numbers."""
        g = self.g
        shape = g.op("Shape", [source], "shape")
        count = g.op("Gather", [shape, g.int(1)], "count")
        if self.decode:
            past = g.op("Gather", [g.op("Shape", ["past.0.key"], "past/shape"), g.int(2)], "past/count")
        else:
            past = g.int(0)
        total = g.op("Add", [past, count], "total")
        self.mine = g.op("Range", [past, total, g.int(1)], "positions")
        every = g.op("Range", [g.int(0), total, g.int(1)], "positions/all")
        rows = g.op("Unsqueeze", [self.mine, g.ints(1)], "positions/rows")
        self.seen = g.op("LessOrEqual", [every, rows], "causal")  # [sequence, total]

    def split(self, x, heads, name):
        """[batch, sequence, heads * head] to [batch, heads, sequence, head]"""
        g = self.g
        y = g.op("Reshape", [x, g.ints(0, 0, heads, self.c.head)], f"{name}/heads")
        return g.op("Transpose", [y], f"{name}/transpose", perm=[0, 2, 1, 3])

    def cached(self, x, layer, what):
        if not self.decode:
            return self.g.op("Identity", [x], f"present.{layer}.{what}")
        return self.g.op("Concat", [f"past.{layer}.{what}", x], f"present.{layer}.{what}", axis=2)

    def repeated(self, x, name):
        """Each head of keys or values as often as heads of queries share it."""
        g, c = self.g, self.c
        if c.groups == c.heads:
            return x
        y = g.op("Unsqueeze", [x, g.ints(2)], f"{name}/unsqueeze")
        y = g.op("Expand", [y, g.ints(1, 1, c.heads // c.groups, 1, 1)], f"{name}/expand")
        return g.op("Reshape", [y, g.ints(0, c.heads, -1, c.head)], f"{name}/repeat")

    def attention(self, query, key, value, layer, name):
        g, c = self.g, self.c
        key = self.repeated(self.cached(key, layer, "key"), f"{name}/key")
        value = self.repeated(self.cached(value, layer, "value"), f"{name}/value")
        key = g.op("Transpose", [key], f"{name}/key/last", perm=[0, 1, 3, 2])
        scores = g.op("MatMul", [query, key], f"{name}/scores")
        scores = g.op("Mul", [scores, g.number(float(np.float32(c.head ** -0.5)))], f"{name}/scale")
        scores = g.op("Where", [self.seen, scores, g.number(float(np.finfo(np.float32).min))], f"{name}/mask")
        y = g.op("MatMul", [g.op("Softmax", [scores], f"{name}/softmax", axis=-1), value], f"{name}/context")
        y = g.op("Transpose", [y], f"{name}/context/transpose", perm=[0, 2, 1, 3])
        return g.op("Reshape", [y, g.ints(0, 0, c.width)], f"{name}/context/merge")

    def model(self, source, result):
        c, g = self.c, self.g

        def cache(when, length):
            return [helper.make_tensor_value_info(f"{when}.{i}.{what}", TensorProto.FLOAT,
                                                  ["batch", c.groups, length, c.head])
                    for i in range(c.layers) for what in ("key", "value")]

        inputs = [source] + (cache("past", "past") if self.decode else [])
        outputs = [result] + cache("present", "total" if self.decode else "sequence")
        return g.model(c.name, inputs, outputs)

    @property
    def length(self):
        return 1 if self.decode else "sequence"


class Gpt2(Decoder):
    def build(self):
        g, c = self.g, self.c
        self.positions("input_ids")
        words = g.normal("words.weight", [c.words, c.width], 0.05)
        x = g.op("Gather", [words, "input_ids"], "words")
        place = g.op("Gather", [g.normal("places.weight", [c.context, c.width], 0.05), self.mine], "places")
        x = g.op("Add", [x, place], "embedding")
        for i in range(c.layers):
            name = f"layer{i}"
            y = g.linear(g.layer_norm(x, c.width, f"{name}/norm1"), c.width, 3 * c.width, f"{name}/qkv")
            parts = g.op("Split", [y, g.ints(*[c.width] * 3)], [f"{name}/{p}" for p in ("query", "key", "value")],
                         axis=2)
            y = self.attention(*(self.split(p, c.heads, p) for p in parts), i, f"{name}/attention")
            x = g.op("Add", [x, g.linear(y, c.width, c.width, f"{name}/output", gain=c.gain)], f"{name}/residual1")
            y = g.linear(g.layer_norm(x, c.width, f"{name}/norm2"), c.width, c.inner, f"{name}/up")
            y = g.linear(g.gelu_tanh(y, f"{name}/gelu"), c.inner, c.width, f"{name}/down", gain=c.gain)
            x = g.op("Add", [x, y], f"{name}/residual2")
        x = g.layer_norm(x, c.width, "norm")
        g.op("MatMul", [x, g.op("Transpose", [words], "words/last", perm=[1, 0])], "logits")
        return self.model(helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", self.length]),
                          helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", self.length, c.words]))


class Llama(Decoder):
    def rms_norm(self, x, name):
        g = self.g
        y = g.op("Pow", [x, g.number(2.0)], f"{name}/square")
        y = g.op("ReduceMean", [y], f"{name}/mean", axes=[-1], keepdims=1)
        y = g.op("Sqrt", [g.op("Add", [y, g.number(1e-5)], f"{name}/add")], f"{name}/root")
        y = g.op("Mul", [x, g.op("Reciprocal", [y], f"{name}/scale")], f"{name}/normal")
        return g.op("Mul", [g.near_one(f"{name}.weight", [self.c.width]), y], name)

    def angles(self):
        g, half = self.g, self.c.head // 2
        rates = g.constant("rates", TensorProto.FLOAT, [half], 10000.0 ** (-np.arange(half) / half))
        where = g.op("Cast", [self.mine], "rotary/float", to=TensorProto.FLOAT)
        angle = g.op("Mul", [g.op("Unsqueeze", [where, g.ints(1)], "rotary/rows"), rates], "rotary/half")
        angle = g.op("Concat", [angle, angle], "rotary/angles", axis=-1)  # [sequence, head]
        self.cos, self.sin = g.op("Cos", [angle], "rotary/cos"), g.op("Sin", [angle], "rotary/sin")

    def rotated(self, x, name):
        g, half = self.g, self.c.head // 2
        low = g.op("Slice", [x, g.ints(0), g.ints(half), g.ints(-1)], f"{name}/low")
        high = g.op("Slice", [x, g.ints(half), g.ints(2 ** 63 - 1), g.ints(-1)], f"{name}/high")
        turned = g.op("Concat", [g.op("Neg", [high], f"{name}/neg"), low], f"{name}/turned", axis=-1)
        return g.op("Add", [g.op("Mul", [x, self.cos], f"{name}/cos"), g.op("Mul", [turned, self.sin], f"{name}/sin")],
                    name)

    def build(self):
        g, c = self.g, self.c
        self.positions("embeddings")
        self.angles()
        x, kept = "embeddings", c.groups * c.head
        for i in range(c.layers):
            name = f"layer{i}"
            y = self.rms_norm(x, f"{name}/norm1")
            query = self.split(g.linear(y, c.width, c.width, f"{name}/query", bias=False), c.heads, f"{name}/query")
            key = self.split(g.linear(y, c.width, kept, f"{name}/key", bias=False), c.groups, f"{name}/key")
            value = self.split(g.linear(y, c.width, kept, f"{name}/value", bias=False), c.groups, f"{name}/value")
            query, key = (self.rotated(v, f"{name}/{what}/rotary") for v, what in ((query, "query"), (key, "key")))
            y = self.attention(query, key, value, i, f"{name}/attention")
            y = g.linear(y, c.width, c.width, f"{name}/output", bias=False, gain=c.gain)
            x = g.op("Add", [x, y], f"{name}/residual1")
            y = self.rms_norm(x, f"{name}/norm2")
            gate = g.linear(y, c.width, c.inner, f"{name}/gate", bias=False)
            gate = g.op("Mul", [gate, g.op("Sigmoid", [gate], f"{name}/sigmoid")], f"{name}/silu")
            y = g.op("Mul", [gate, g.linear(y, c.width, c.inner, f"{name}/up", bias=False)], f"{name}/gated")
            y = g.linear(y, c.inner, c.width, f"{name}/down", bias=False, gain=c.gain)
            x = g.op("Add", [x, y], f"{name}/residual2")
        g.op("Identity", [self.rms_norm(x, "norm")], "hidden")
        dims = ["batch", self.length, c.width]
        return self.model(*(helper.make_tensor_value_info(n, TensorProto.FLOAT, dims) for n in ("embeddings", "hidden")))


def build(name, decode, folder):
    """The path of the model, made in `folder`; prefill and decode find their weights in the same file."""
    os.makedirs(folder, exist_ok=True)
    kind, config, seed = {"gpt2": (Gpt2, GPT2, 21), "llama": (Llama, LLAMA, 22)}[name]
    decoder = kind(config, decode, os.path.join(folder, f"{name}.bin"), seed)
    model = decoder.build()
    path = os.path.join(folder, f"{name}_{'decode' if decode else 'prefill'}.onnx")
    return decoder.g.save(model, path, [__file__])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name in ("gpt2", "llama"):
        for decode in (False, True):
            made = build(name, decode, sys.argv[1])
            checker.check_model(made)
            print(made)
