"""Random ONNX graphs: values, and the graph that grows by steps.

ONNX Runtime says what each value is as soon as its node is there, so a step may
look at the data before it adds a node.

*Jumps.* Floor, a comparison, ArgMax, a cast to an integer: where the operand lies
at a jump, two right answers differ. A value is `exact` when every rounding-free
evaluation gives these bits: inputs, what moves or selects exact elements, sums
and products that come out the same in f64. A jump is taken at an exact operand
anywhere, so that ties are tested, and at any other operand only when each
element is farther from the jump than a comparison would let it be wrong: then
whoever passes the comparison before the jump passes after it. Operators that
blow up errors (1/x near 0) want operands away from there for the same reason.
"""

import random

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

F32, F16, I64, I32, BOOL = "f32", "f16", "i64", "i32", "bool"
NUMPY = {F32: np.float32, F16: np.float16, I64: np.int64, I32: np.int32, BOOL: np.bool_}
ONNX = {F32: TensorProto.FLOAT, F16: TensorProto.FLOAT16, I64: TensorProto.INT64, I32: TensorProto.INT32,
        BOOL: TensorProto.BOOL}
FLOATS, INTS = (F32, F16), (I64, I32)
NUMBERS = FLOATS + INTS
OPSETS = (17, 18, 21)
LARGEST = 4096  # elements of any value


# Elements come out as they went in, or as one of several.
MOVES = frozenset("""Abs Neg Relu Max Min Clip Identity Where Transpose Reshape Flatten Unsqueeze Squeeze Concat Slice
Split Gather Expand Tile Pad MaxPool GlobalMaxPool ReduceMax ReduceMin TopK Trilu GatherElements GatherND
ScatterElements ScatterND DepthToSpace SpaceToDepth Constant ConstantOfShape Range OneHot""".split())
JUMPS = frozenset(["Floor", "Ceil", "Round", "Sign"])


def tolerance(want, half):
    """How far a right answer may be from `want`, element by element."""
    rtol, atol = (2e-2, 1e-2) if half else (1e-3, 1e-5)
    a = np.abs(want.astype(np.float64))
    return rtol * a + atol * max(1.0, float(a.max()) if a.size else 0.0)


class Value:
    """A tensor of the graph with its values for the chosen input shapes."""

    def __init__(self, name, dtype, array, dims, exact=True):
        self.name, self.dtype, self.array, self.exact = name, dtype, array, exact
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
        self.arrays = {}  # name -> array of each weight
        self.symbols = {}  # name -> size in the test data
        self.used = set()
        self.dynamic = self.rng.random() < 0.35
        self.half = self.rng.random() < 0.15
        self.opset = self.rng.choices(OPSETS, [2, 1, 1])[0]

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
        array = np.asarray(array, order="C")
        self.weights.append(numpy_helper.from_array(array, name))
        self.arrays[name] = array
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

    def emit(self, op, operands, dtype, outputs=1, output=0, **attributes):
        """Adds a node; its value is what ONNX Runtime says it is."""
        names = [o.name if isinstance(o, Value) else o for o in operands]
        made = [self.fresh("v")] + [f"{self.fresh('u')}_{k}" for k in range(1, outputs)]
        self.nodes.append(helper.make_node(op, names, made, name=f"{op}_{len(self.nodes)}", **attributes))
        self.used.update(names)
        return made[output], dtype

    # --- rounding --------------------------------------------------------------------
    def tolerance(self, array):
        return tolerance(array, self.half)

    def away(self, distance, *values):
        """Declines where an inexact operand may be across a jump: `distance` is
        each element's from the nearest one."""
        if all(v.exact for v in values):
            return
        bound = sum(self.tolerance(v.array) for v in values)
        if not (distance > bound).all():
            raise Declined()

    def sized(self, *values):
        """Declines inexact operands near 0."""
        for v in values:
            if not v.exact and v.array.size and not np.abs(v.array).min() > (0.25 if self.half else 1 / 16):
                raise Declined()

    def is_exact(self, node, dtype, array):
        if dtype not in FLOATS:
            return True  # jumps were taken with care
        operands = [self.find(n) for n in node.input if n]
        if node.op_type in JUMPS:
            return True
        if not all(exact for _, exact in operands):
            return False
        if node.op_type in MOVES:
            return True
        wide = [np.asarray(a, dtype=np.float64) for a, _ in operands]
        arithmetic = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Cast": lambda x: x}
        if node.op_type in arithmetic:
            return bool((arithmetic[node.op_type](*wide) == array.astype(np.float64)).all())
        return False

    def find(self, name):
        if name in self.arrays:
            return self.arrays[name], True
        # Sizes within one step have no Value.
        return next(((v.array, v.exact) for v in self.values if v.name == name), (np.zeros(()), True))

    # --- the graph -------------------------------------------------------------------
    def grow(self, nodes, steps, weights):
        for _ in range(self.rng.randint(1, 2)):
            self.add_input()
        tries = 0
        while len(self.nodes) < nodes and tries < 20 * nodes:
            tries += 1
            before = (len(self.nodes), len(self.values), len(self.weights), len(self.inputs), dict(self.symbols), set(self.used))
            try:
                output, dtype = self.rng.choices(steps, weights)[0](self)
                array = self.evaluate(output)
                if array.size > LARGEST or array.size == 0:
                    raise Declined()
                if array.dtype.kind == "f" and not (np.isfinite(array).all() and np.abs(array).max() < (64 if self.half else 1e3)):
                    raise Declined()
                exact = self.is_exact(self.nodes[-1], dtype, array)
                self.values.append(Value(output, dtype, array, self.dims(output, array), exact))
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
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10 if self.opset > 18 else 8)
        if any(isinstance(v, (type(None), np.ndarray)) for _, v in outputs):
            inferred = onnx.shape_inference.infer_shapes(model)
            types = {i.name: i.type for i in inferred.graph.output}
            for o in model.graph.output:
                o.type.CopyFrom(types[o.name])
                o.type.tensor_type.ClearField("shape")
        return model

    def reference(self, model):
        feeds = {v.name: v.array for v in self.inputs}
        return evaluate(model, feeds)


def evaluate(model, feeds):
    """The outputs by ONNX Runtime, without its rewrites."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.intra_op_num_threads = 1
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
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


def in_double(model, feeds):
    """The outputs with every float in f64, or None."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16)

    def widen(tensor):
        if tensor.data_type in floats:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))

    for value in list(model.graph.input) + list(model.graph.output) + list(model.graph.value_info):
        if value.type.tensor_type.elem_type in floats:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for tensor in model.graph.initializer:
        widen(tensor)
    for node in model.graph.node:
        for a in node.attribute:
            if a.name == "value":
                widen(a.t)
            elif node.op_type == "Cast" and a.i in floats:
                a.i = TensorProto.DOUBLE
        if node.op_type == "Resize" and len(node.input) > 2 and node.input[2]:  # scales are f32
            for tensor in model.graph.initializer:
                if tensor.name == node.input[2]:
                    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    feeds = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in feeds.items()}
    try:
        with np.errstate(all="ignore"):
            return [np.asarray(a) for a in onnx.reference.ReferenceEvaluator(model).run(None, feeds)]
    except Exception:
        return None


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
