#!/usr/bin/env python3
"""Random ONNX graphs, compiled and run by us, checked against ONNX Runtime.

Graph i of seed s is always the same. A graph with an operator that istc does
not know is counted apart: the operators are what is supported. Prints every bad graph with the command
that makes it again, and ends with `N graphs: A compile failures, B mismatches`.

    test/conformance/random_graphs.py --count 2000 --seed 1
    test/conformance/random_graphs.py --only 17 --seed 1 --keep /tmp/g
"""

import argparse
import math
import os
import random
import re
import shutil
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import batch  # noqa: E402

F32, F16, I64, I32, BOOL = "f32", "f16", "i64", "i32", "bool"
NUMPY = {F32: np.float32, F16: np.float16, I64: np.int64, I32: np.int32, BOOL: np.bool_}
ONNX = {F32: TensorProto.FLOAT, F16: TensorProto.FLOAT16, I64: TensorProto.INT64, I32: TensorProto.INT32,
        BOOL: TensorProto.BOOL}
FLOATS, INTS = (F32, F16), (I64, I32)
NUMBERS = FLOATS + INTS
OPSET = 17
UNSUPPORTED = "IST-I0101"  # istc's code for an operator that it does not know
LARGEST = 4096  # elements of any value


class Value:
    """A tensor of the graph with its values for the chosen input shapes."""

    def __init__(self, name, dtype, array, dims):
        self.name, self.dtype, self.array = name, dtype, array
        self.dims = dims  # per dim: a size, or the name of an input's symbol

    @property
    def shape(self):
        return self.array.shape

    @property
    def rank(self):
        return self.array.ndim


class Declined(Exception):
    """This step cannot be made here; another is tried."""


class Graph:
    def __init__(self, *seed):
        self.rng = random.Random(repr(seed))
        self.np = np.random.default_rng(seed)
        self.values, self.inputs, self.weights, self.nodes = [], [], [], []
        self.symbols = {}  # name -> size in the test data
        self.used = set()
        self.dynamic = self.rng.random() < 0.35
        self.half = self.rng.random() < 0.15

    # --- values ------------------------------------------------------------------
    def fresh(self, prefix):
        return f"{prefix}{len(self.values) + len(self.weights) + len(self.nodes)}"

    def data(self, dtype, shape):
        if dtype == BOOL:
            return self.np.random(shape) < 0.5
        if dtype in INTS:
            return self.np.integers(-9, 10, shape).astype(NUMPY[dtype])
        # Multiples of 1/8: sums and comparisons are seldom near a tie.
        return (self.np.integers(-16, 17, shape) / 8).astype(NUMPY[dtype])

    def dtype(self):
        return self.rng.choices([F32, F16 if self.half else F32, I64, I32, BOOL], [10, 3, 3, 2, 1])[0]

    def shape(self, rank=None):
        rank = self.rng.choices(range(5), [1, 3, 5, 4, 3])[0] if rank is None else rank
        return tuple(self.rng.choices([1, 2, 3, 4, 5, 7, 8, 16, 17], [3, 3, 3, 3, 2, 2, 2, 1, 1])[0] for _ in range(rank))

    def add_input(self, dtype=None, shape=None):
        shape = self.shape() if shape is None else shape
        dims = []
        for size in shape:
            if self.dynamic and size > 1 and self.rng.random() < 0.4:
                names = [n for n, s in self.symbols.items() if s == size]
                if names and self.rng.random() < 0.7:
                    name = names[0]
                else:
                    name = f"d{len(self.symbols)}"
                    self.symbols[name] = size
                dims.append(name)
            else:
                dims.append(size)
        dtype = dtype or self.dtype()
        value = Value(self.fresh("x"), dtype, self.data(dtype, shape), dims)
        self.inputs.append(value)
        self.values.append(value)
        return value

    def weight(self, array):
        name = self.fresh("w")
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def constant(self, values):
        return self.weight(np.array(values, dtype=np.int64))

    def pick(self, dtypes=NUMBERS + (BOOL,), rank=None, least=0):
        found = [v for v in self.values if v.dtype in dtypes and v.rank >= least and (rank is None or v.rank == rank)]
        if not found:
            raise Declined()
        # Later values first, so that graphs are deep.
        return self.rng.choices(found, [1 + i for i in range(len(found))])[0]

    def partner(self, value):
        """An operand that broadcasts with `value`: another value or a new one."""
        fits = [v for v in self.values if v.dtype == value.dtype and broadcasts(v, value)]
        if fits and self.rng.random() < 0.6:
            return self.rng.choice(fits)
        shape = list(value.shape[self.rng.randint(0, value.rank):])
        shape = [1 if self.rng.random() < 0.3 else d for d in shape]
        fixed = all(d == 1 or d == value.dims[i - len(shape)] for i, d in enumerate(shape))
        if fixed or self.rng.random() < 0.5:
            if not fixed:  # a weight cannot have a dynamic dim
                shape = [d if isinstance(value.dims[i - len(shape)], int) else 1 for i, d in enumerate(shape)]
            if self.rng.random() < 0.5 or not fixed:
                array = self.data(value.dtype, tuple(shape))
                return Value(self.weight(array), value.dtype, array, list(shape))
        other = Value(self.fresh("x"), value.dtype, self.data(value.dtype, tuple(shape)),
                      [1 if d == 1 else value.dims[i - len(shape)] for i, d in enumerate(shape)])
        self.inputs.append(other)
        self.values.append(other)
        return other

    def emit(self, op, operands, dtype, **attributes):
        """Adds a node; its value is what ONNX Runtime says it is."""
        names = [o.name if isinstance(o, Value) else o for o in operands]
        output = self.fresh("v")
        self.nodes.append(helper.make_node(op, names, [output], name=f"{op}_{len(self.nodes)}", **attributes))
        self.used.update(names)
        return output, dtype

    # --- the graph -------------------------------------------------------------------
    def grow(self, nodes):
        for _ in range(self.rng.randint(1, 2)):
            self.add_input()
        tries = 0
        while len(self.nodes) < nodes and tries < 20 * nodes:
            tries += 1
            before = (len(self.nodes), len(self.values), len(self.weights), len(self.inputs), dict(self.symbols), set(self.used))
            try:
                output, dtype = self.rng.choices(STEPS, WEIGHTS)[0](self)
                array = self.evaluate(output)
                if array.size > LARGEST or array.size == 0:
                    raise Declined()
                if array.dtype.kind == "f" and not (np.isfinite(array).all() and np.abs(array).max() < 1e3):
                    raise Declined()
                self.values.append(Value(output, dtype, array, self.dims(output, array)))
            except Declined:
                n, v, w, i, self.symbols, self.used = before
                del self.nodes[n:], self.values[v:], self.weights[w:], self.inputs[i:]
        return bool(self.nodes)

    def dims(self, output, array):
        """Static or symbolic dims as shape inference sees them; else unknown names."""
        model = onnx.shape_inference.infer_shapes(self.model([(output, array)]), data_prop=True)
        # The output was declared by rank alone, so that what is known shows here.
        for info in list(model.graph.output) + list(model.graph.value_info):
            if info.name == output and info.type.tensor_type.HasField("shape"):
                return [d.dim_value if d.HasField("dim_value") else d.dim_param or "?"
                        for d in info.type.tensor_type.shape.dim]
        return ["?"] * array.ndim

    def evaluate(self, output):
        return self.reference(self.model([(output, None)]))[0]

    def outputs(self):
        """What no node reads, and now and then something more."""
        made = [v for v in self.values if v not in self.inputs]
        return [v for v in made if v.name not in self.used or self.rng.random() < 0.1]

    def model(self, outputs):
        def declared(name, dtype, dims):
            return helper.make_tensor_value_info(name, ONNX[dtype], dims)

        graph = helper.make_graph(
            self.nodes, "random",
            [declared(v.name, v.dtype, v.dims) for v in self.inputs],
            [helper.make_empty_tensor_value_info(name) if isinstance(v, (type(None), np.ndarray))
             else declared(name, v.dtype, [d if d != "?" else None for d in v.dims]) for name, v in outputs],
            self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        if any(isinstance(v, (type(None), np.ndarray)) for _, v in outputs):
            inferred = onnx.shape_inference.infer_shapes(model)
            types = {i.name: i.type for i in inferred.graph.output}
            for o in model.graph.output:
                o.type.CopyFrom(types[o.name])
                o.type.tensor_type.ClearField("shape")
        return model

    def reference(self, model):
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        settings.intra_op_num_threads = 1
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        feeds = {v.name: v.array for v in self.inputs}
        try:
            return onnxruntime.InferenceSession(model.SerializeToString(), settings,
                                                providers=["CPUExecutionProvider"]).run(None, feeds)
        except Exception:
            pass
        try:  # types that ONNX Runtime has no kernel for
            with np.errstate(all="ignore"):
                return [np.asarray(a) for a in onnx.reference.ReferenceEvaluator(model).run(None, feeds)]
        except Exception as e:
            raise Declined() from e


def broadcasts(a, b):
    for i in range(1, min(a.rank, b.rank) + 1):
        x, y = a.dims[-i], b.dims[-i]
        if a.shape[-i] != b.shape[-i] and 1 not in (x, y):
            return False
        if x != y and 1 not in (x, y) and ("?" in (x, y) or not (isinstance(x, int) and isinstance(y, int))):
            # Equal only in this data: a model that says so is still right.
            if a.shape[-i] != b.shape[-i]:
                return False
    return True


# --- steps: each adds one node and returns (output, dtype) ---------------------------
def unary(g):
    x = g.pick(FLOATS)
    op = g.rng.choice(["Abs", "Neg", "Exp", "Sqrt", "Log", "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Erf", "Floor",
                       "Ceil", "Round", "Reciprocal", "Softplus", "Elu", "HardSigmoid", "HardSwish", "Sin", "Cos",
                       "Sign", "Selu", "Softsign", "Identity"])
    attributes = {"alpha": g.rng.choice([0.1, 0.5, 1.25])} if op in ("LeakyRelu", "Elu", "HardSigmoid") else {}
    return g.emit(op, [x], x.dtype, **attributes)


def unary_int(g):
    x = g.pick(INTS)
    return g.emit(g.rng.choice(["Abs", "Neg", "Sign", "Identity"]), [x], x.dtype)


def logic(g):
    x = g.pick((BOOL,))
    if g.rng.random() < 0.4:
        return g.emit("Not", [x], BOOL)
    return g.emit(g.rng.choice(["And", "Or", "Xor"]), [x, g.partner(x)], BOOL)


def binary(g):
    x = g.pick(NUMBERS)
    ops = ["Add", "Sub", "Mul", "Min", "Max"] + (["Div", "Pow"] if x.dtype in FLOATS else [])
    op, y = g.rng.choice(ops), g.partner(x)
    pair = [x, y] if g.rng.random() < 0.5 else [y, x]
    if op == "Pow" and (pair[0].array <= 0).any():
        raise Declined()
    return g.emit(op, pair, x.dtype)


def integer_division(g):
    x = g.pick(INTS)
    divisor = g.np.integers(1, 7, x.shape[-1:]) if isinstance(x.dims[-1] if x.rank else 1, int) else g.np.integers(1, 7, (1,))
    w = g.weight(divisor.astype(NUMPY[x.dtype]))
    return g.emit("Mod", [x, w], x.dtype) if g.rng.random() < 0.5 else g.emit("Div", [g_abs(g, x), w], x.dtype)


def g_abs(g, x):
    """Integer division of negatives rounds as the implementation likes: avoid them."""
    if (x.array < 0).any():
        raise Declined()
    return x


def compare(g):
    x = g.pick(NUMBERS)
    op = g.rng.choice(["Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"])
    y = g.partner(x)
    if x.dtype in FLOATS:  # a tie decided by rounding is no mismatch
        with np.errstate(all="ignore"):
            gap = np.abs(x.array.astype(np.float64) - y.array)
        if ((gap > 0) & (gap < 1e-2)).any() or (x not in g.inputs and (gap == 0).any()):
            raise Declined()
    return g.emit(op, [x, y], BOOL)


def where(g):
    x = g.pick()
    c = Value(g.fresh("x"), BOOL, g.data(BOOL, x.shape), list(x.dims))
    if "?" in c.dims:
        raise Declined()
    g.inputs.append(c)
    g.values.append(c)
    return g.emit("Where", [c, x, g.partner(x)], x.dtype)


def cast(g):
    x = g.pick()
    to = g.rng.choice([d for d in (F32, I64, I32, BOOL, F16) if d != x.dtype and (d != F16 or g.half)])
    if x.dtype in FLOATS and to in INTS + (BOOL,) and x not in g.inputs:
        a = x.array.astype(np.float64)
        if (np.abs(a - np.round(a)) < 1e-2).any():  # near an integer: rounding decides
            raise Declined()
    return g.emit("Cast", [x], to, to=ONNX[to])


def clip(g):
    x = g.pick(FLOATS)
    low, high = (g.weight(np.array(v, dtype=NUMPY[x.dtype])) for v in (-0.75, 1.5))
    return g.emit("Clip", g.rng.choice([[x, low, high], [x, low], [x, "", high]]), x.dtype)


def softmax(g):
    x = g.pick(FLOATS, least=1)
    return g.emit(g.rng.choice(["Softmax", "LogSoftmax"]), [x], x.dtype, axis=g.rng.randint(-x.rank, x.rank - 1))


def reduce(g):
    x = g.pick(NUMBERS, least=1)
    ops = ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean"] + (["ReduceL2", "ReduceProd", "ReduceSumSquare"] if x.dtype in FLOATS else [])
    if x.dtype in INTS:
        ops.remove("ReduceMean")
    op = g.rng.choice(ops)
    axes = sorted(g.rng.sample(range(x.rank), g.rng.randint(1, x.rank)))
    axes = [a - x.rank if g.rng.random() < 0.3 else a for a in axes]
    keep = g.rng.randint(0, 1)
    if op == "ReduceSum":
        return g.emit(op, [x, g.constant(axes)], x.dtype, keepdims=keep)
    return g.emit(op, [x], x.dtype, axes=axes, keepdims=keep)


def arg(g):
    x = g.pick((F32,), least=1)
    axis = g.rng.randint(0, x.rank - 1)
    values = np.sort(x.array, axis=axis)
    if x.shape[axis] > 1 and (np.diff(values, axis=axis) < 1e-2).any():
        raise Declined()  # near ties
    return g.emit(g.rng.choice(["ArgMax", "ArgMin"]), [x], I64, axis=axis, keepdims=g.rng.randint(0, 1))


def matmul(g):
    x = g.pick(FLOATS, least=2)
    k = x.dims[-1]
    if not isinstance(k, int):
        raise Declined()
    n = g.rng.choice([1, 3, 8, 17])
    rank = g.rng.choice([2, 2, x.rank])
    lead = [d if isinstance(d, int) and g.rng.random() < 0.7 else 1 for d in x.dims[:-2]] if rank > 2 else []
    array = g.data(x.dtype, tuple(lead) + (k, n))
    if g.rng.random() < 0.3:
        y = Value(g.fresh("x"), x.dtype, array, list(array.shape))
        g.inputs.append(y)
        g.values.append(y)
        return g.emit("MatMul", [x, y], x.dtype)
    return g.emit("MatMul", [x, g.weight(array)], x.dtype)


def gemm(g):
    x = g.pick((F32,), rank=2)
    ta, tb = g.rng.randint(0, 1), g.rng.randint(0, 1)
    k = x.dims[0 if ta else 1]
    if not isinstance(k, int):
        raise Declined()
    n = g.rng.choice([1, 4, 9])
    operands = [x, g.weight(g.data(F32, (n, k) if tb else (k, n)))]
    if g.rng.random() < 0.7:
        operands.append(g.weight(g.data(F32, g.rng.choice([(n,), (1, n), (1, 1), ()]))))
    return g.emit("Gemm", operands, F32, transA=ta, transB=tb, alpha=g.rng.choice([1.0, 0.5]), beta=g.rng.choice([1.0, 2.0]))


def conv(g):
    x = g.pick((F32,), least=3)
    if x.rank > 4 or not all(isinstance(d, int) for d in x.dims[1:2]):
        raise Declined()
    spatial, c = x.rank - 2, x.shape[1]
    group = g.rng.choice([1, 1, c])
    m = group * g.rng.choice([1, 2, 3])
    kernel = [g.rng.randint(1, min(3, d)) for d in x.shape[2:]]
    operands = [x, g.weight(g.data(F32, (m, c // group, *kernel)))]
    if g.rng.random() < 0.5:
        operands.append(g.weight(g.data(F32, (m,))))
    return g.emit("Conv", operands, F32, group=group, kernel_shape=kernel,
                  strides=[g.rng.randint(1, 2) for _ in range(spatial)],
                  pads=[g.rng.randint(0, 1) for _ in range(2 * spatial)])


def pool(g):
    x = g.pick((F32,), least=3)
    if x.rank > 4:
        raise Declined()
    op = g.rng.choice(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"])
    if op.startswith("Global"):
        return g.emit(op, [x], F32)
    kernel = [g.rng.randint(1, min(3, d)) for d in x.shape[2:]]
    attributes = {"kernel_shape": kernel, "strides": [g.rng.randint(1, 2) for _ in kernel]}
    if min(kernel) > 1 and g.rng.random() < 0.5:
        attributes["pads"] = [g.rng.randint(0, 1) for _ in range(2 * len(kernel))]
        if op == "AveragePool":
            attributes["count_include_pad"] = g.rng.randint(0, 1)
    return g.emit(op, [x], F32, **attributes)


def norm(g):
    x = g.pick((F32,), least=2)
    if g.rng.random() < 0.6:
        if not isinstance(x.dims[-1], int) or x.shape[-1] < 2:
            raise Declined()
        n = (x.shape[-1],)
        operands = [x, g.weight(g.data(F32, n))] + ([g.weight(g.data(F32, n))] if g.rng.random() < 0.7 else [])
        return g.emit("LayerNormalization", operands, F32, axis=-1, epsilon=1e-3)
    if not isinstance(x.dims[1], int):
        raise Declined()
    c = (x.shape[1],)
    return g.emit("BatchNormalization", [x, g.weight(g.data(F32, c)), g.weight(g.data(F32, c)), g.weight(g.data(F32, c)),
                                         g.weight(np.abs(g.data(F32, c)) + np.float32(0.5))], F32)


def transpose(g):
    x = g.pick(least=1)
    order = list(range(x.rank))
    g.rng.shuffle(order)
    return g.emit("Transpose", [x], x.dtype, perm=order)


def reshape(g):
    x = g.pick()
    size = x.array.size
    first = g.rng.choice([d for d in range(1, size + 1) if size % d == 0])
    second = g.rng.choice([d for d in range(1, size // first + 1) if (size // first) % d == 0])
    target = g.rng.choice([[size], [first, size // first], [first, second, size // first // second]])
    if any(not isinstance(d, int) for d in x.dims):
        target = g.rng.choice([[-1], [0] * x.rank, [0, -1] if x.rank > 1 else [-1]])
    elif g.rng.random() < 0.4:
        target[g.rng.randrange(len(target))] = -1
    return g.emit("Reshape", [x, g.constant(target)], x.dtype)


def flatten(g):
    x = g.pick(least=1)
    return g.emit("Flatten", [x], x.dtype, axis=g.rng.randint(0, x.rank))


def unsqueeze(g):
    x = g.pick()
    if x.rank > 3:
        raise Declined()
    return g.emit("Unsqueeze", [x, g.constant([g.rng.randint(-x.rank - 1, x.rank)])], x.dtype)


def squeeze(g):
    x = g.pick(least=1)
    axes = [i for i, d in enumerate(x.dims) if d == 1]
    if not axes:
        raise Declined()
    return g.emit("Squeeze", [x, g.constant([g.rng.choice(axes)])], x.dtype)


def concat(g):
    x = g.pick(least=1)
    axis = g.rng.randint(0, x.rank - 1)
    parts = [x]
    for _ in range(g.rng.randint(1, 2)):
        fits = [v for v in g.values if v.dtype == x.dtype and v.rank == x.rank
                and all(i == axis or v.shape[i] == x.shape[i] for i in range(x.rank))]
        parts.append(g.rng.choice(fits))
    return g.emit("Concat", parts, x.dtype, axis=g.rng.choice([axis, axis - x.rank]))


def slice_(g):
    x = g.pick(least=1)
    axes = sorted(g.rng.sample(range(x.rank), g.rng.randint(1, x.rank)))
    starts, ends, steps = [], [], []
    for a in axes:
        n = x.shape[a]
        step = g.rng.choice([1, 1, 2, -1])
        low, high = sorted(g.rng.sample(range(n + 1), 2)) if n else (0, 0)
        if step > 0:
            starts.append(g.rng.choice([low, low - n]) if low < n else low)
            ends.append(g.rng.choice([high, 2**31]))
        else:
            starts.append(g.rng.choice([n - 1, -1]))
            ends.append(-(2**31))
        steps.append(step)
    return g.emit("Slice", [x, g.constant(starts), g.constant(ends), g.constant(axes), g.constant(steps)], x.dtype)


def split(g):
    x = g.pick(least=1)
    axis = g.rng.randint(0, x.rank - 1)
    n = x.dims[axis]
    if not isinstance(n, int) or n < 2:
        raise Declined()
    first = g.rng.randint(1, n - 1)
    names = [g.fresh("v"), g.fresh("u")]
    parts = g.constant([first, n - first])
    g.nodes.append(helper.make_node("Split", [x.name, parts], names, name=f"Split_{len(g.nodes)}", axis=axis))
    g.used.update([x.name])
    return names[g.rng.randrange(2)], x.dtype


def gather(g):
    x = g.pick(least=1)
    axis = g.rng.randint(0, x.rank - 1)
    n = x.shape[axis]
    shape = g.rng.choice([(), (2,), (3,), (2, 2)])
    indices = g.np.integers(-n, n, shape)
    if g.rng.random() < 0.5 and g.rng.random() < 0.5:
        i = Value(g.fresh("x"), I64, indices.astype(np.int64), list(shape))
        g.inputs.append(i)
        return g.emit("Gather", [x, i], x.dtype, axis=axis)
    return g.emit("Gather", [x, g.weight(np.asarray(indices, dtype=np.int64))], x.dtype, axis=axis)


def expand(g):
    x = g.pick()
    if x.rank > 3 or any(not isinstance(d, int) for d in x.dims):
        raise Declined()
    target = [d if d > 1 else g.rng.choice([1, 2, 3]) for d in x.dims]
    return g.emit("Expand", [x, g.constant(g.rng.choice([[], [1], [2]]) + target)], x.dtype)


def tile(g):
    x = g.pick(least=1)
    return g.emit("Tile", [x, g.constant([g.rng.randint(1, 2) for _ in range(x.rank)])], x.dtype)


def pad(g):
    x = g.pick((F32, I64, I32), least=1)
    mode = g.rng.choice(["constant", "constant", "edge", "reflect"])
    limit = [2 if mode != "reflect" else min(2, d - 1) for d in x.shape]
    pads = [g.rng.randint(0, m) for m in limit + limit]
    operands = [x, g.constant(pads)]
    if mode == "constant" and g.rng.random() < 0.5:
        operands.append(g.weight(np.array(3, dtype=NUMPY[x.dtype])))
    return g.emit("Pad", operands, x.dtype, mode=mode)


def cumsum(g):
    x = g.pick((F32, I64, I32), least=1)
    return g.emit("CumSum", [x, g.weight(np.array(g.rng.randint(0, x.rank - 1), dtype=np.int64))], x.dtype,
                  exclusive=g.rng.randint(0, 1), reverse=g.rng.randint(0, 1))


def shape_of(g):
    return g.emit("Shape", [g.pick(least=1)], I64)


STEPS, WEIGHTS = zip(*[
    (unary, 14), (unary_int, 2), (logic, 2), (binary, 18), (integer_division, 1), (compare, 3), (where, 3), (cast, 4),
    (clip, 2), (softmax, 3), (reduce, 8), (arg, 1), (matmul, 6), (gemm, 3), (conv, 3), (pool, 3), (norm, 3),
    (transpose, 6), (reshape, 5), (flatten, 2), (unsqueeze, 3), (squeeze, 2), (concat, 4), (slice_, 5), (split, 2),
    (gather, 3), (expand, 2), (tile, 2), (pad, 3), (cumsum, 1), (shape_of, 1)])


def make(seed, number):
    """(model, inputs, outputs)"""
    attempt = 0
    while True:  # few seeds end with no node at all
        graph = Graph(seed, number, attempt)
        attempt += 1
        if graph.grow(graph.rng.randint(2, 12)):
            break
    outputs = graph.outputs()
    read = {n for node in graph.nodes for n in node.input}
    graph.inputs = [v for v in graph.inputs if v.name in read]
    graph.weights = [w for w in graph.weights if w.name in read]
    model = graph.model([(v.name, v) for v in outputs])
    onnx.checker.check_model(model, full_check=True)
    return model, [v.array for v in graph.inputs], graph.reference(model)


def compare_all(got, want, half):
    rtol, atol = (2e-2, 1e-2) if half else (1e-3, 1e-5)
    for i, (a, b) in enumerate(zip(got, want)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"output {i}: {a.dtype}{list(a.shape)}, expected {b.dtype}{list(b.shape)}"
        if b.dtype.kind != "f":
            bad = a != b
        else:
            scale = float(np.abs(b).max()) if b.size else 0.0
            with np.errstate(all="ignore"):
                bad = ~(np.abs(a.astype(np.float64) - b) <= rtol * np.abs(b) + atol * max(1.0, scale))
            bad &= ~((a == b) | (np.isnan(a) & np.isnan(b)))
        if np.any(bad):
            at = tuple(int(k) for k in np.argwhere(bad)[0]) if b.ndim else ()
            return f"output {i}: {int(np.sum(bad))} of {b.size} differ, first at {list(at)}: {a[at]}, expected {b[at]}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="I", help="graph I alone")
    parser.add_argument("--target", default="cpu:native")
    parser.add_argument("--keep", metavar="DIR", help="keep models and arrays there")
    parser.add_argument("--make-only", action="store_true", help="make and check the graphs, compile nothing")
    parser.add_argument("--show", type=int, default=20, help="how many bad graphs to print")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    options = parser.parse_args()

    numbers = [options.only] if options.only is not None else range(options.count)
    work = options.keep or tempfile.mkdtemp(prefix="isthmus-random-")
    os.makedirs(work, exist_ok=True)
    progress = batch.Progress("make")
    cases = []
    ops = set()
    for done, i in enumerate(numbers):
        model, inputs, outputs = make(options.seed, i)
        progress(done + 1, len(numbers))
        ops |= {n.op_type for n in model.graph.node}
        base = os.path.join(work, f"g{i}")
        onnx.save(model, base + ".onnx")
        names = [f"{base}.i{k}.npy" for k in range(len(inputs))]
        for name, array in zip(names, inputs):
            np.save(name, array)
        for k, array in enumerate(outputs):
            np.save(f"{base}.want{k}.npy", array)
        cases.append((i, base, names, outputs, any(v.dtype == np.float16 for v in inputs + outputs)
                      or any(n.op_type == "Cast" and n.attribute[0].i == TensorProto.FLOAT16 for n in model.graph.node)))
    if options.make_only:
        print(f"{len(cases)} graphs over {len(ops)} operators: {', '.join(sorted(ops))}")
        return 0

    compiled = batch.compile_all(options.build, [{"model": c[1] + ".onnx", "output": c[1] + ".ist", "target": options.target}
                                                 for c in cases], jobs=options.jobs, progress=batch.Progress("compile"))
    unsupported = set()
    for result in compiled:
        lines = [line for line in result.get("error", "").splitlines() if line.strip()]
        if not result["ok"] and lines and all(UNSUPPORTED in line for line in lines):
            result["unsupported"] = True
            unsupported |= set(re.findall(r"\((\w+), opset", result["error"]))
    skipped = sum(r.get("unsupported", False) for r in compiled)
    if skipped:
        print(f"{skipped} graphs hold operators that are not supported: {', '.join(sorted(unsupported))}")
    cases, compiled = zip(*[(c, r) for c, r in zip(cases, compiled) if not r.get("unsupported")]) if skipped < len(cases) else ((), ())
    good = [c for c, r in zip(cases, compiled) if r["ok"]]
    called = batch.call_all(options.build, [
        {"artifact": c[1] + ".ist", "inputs": c[2], "outputs": [f"{c[1]}.o{k}.npy" for k in range(len(c[3]))]}
        for c in good], jobs=options.jobs, progress=batch.Progress("run")) if good else []
    bad = [(c, "compile", f"{r.get('code', '')} {r.get('error', '')}") for c, r in zip(cases, compiled) if not r["ok"]]
    failures = len(bad)
    for c, r in zip(good, called):
        why = f"{r.get('code', '')} {r.get('error', '')}" if not r["ok"] else None
        if why is None:
            why = compare_all([np.load(f"{c[1]}.o{k}.npy") for k in range(len(c[3]))], c[3], c[4])
        if why:
            bad.append((c, "run" if not r["ok"] else "mismatch", why))
    for c, stage, why in bad[: options.show]:
        print(f"graph {c[0]}: {stage}: {why.strip()}\n  again: {os.path.relpath(__file__)} --seed {options.seed} --only {c[0]} --keep DIR")
    if len(bad) > options.show:
        print(f"... and {len(bad) - options.show} more")
    if not options.keep:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{len(cases) - len(bad)} good, {len(bad)} bad")
    print(f"{len(cases)} graphs: {failures} compile failures, {len(bad) - failures} mismatches")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
