"""The steps by which a random graph grows: each adds one node (or a small idiom)
and returns its (output, dtype), or raises Declined. See graph_maker.py on jumps."""

import numpy as np
from onnx import helper

from graph_maker import BOOL, F16, F32, FLOATS, I32, I64, INTS, NUMBERS, NUMPY, ONNX, Declined, Value


def unary(g):
    x = g.pick(FLOATS)
    op = g.rng.choice(["Abs", "Neg", "Exp", "Sqrt", "Log", "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Erf", "Floor",
                       "Ceil", "Round", "Reciprocal", "Softplus", "Elu", "HardSigmoid", "HardSwish", "Sin", "Cos",
                       "Sign", "Selu", "Softsign", "Identity", "Gelu", "Mish", "Celu", "ThresholdedRelu"])
    a = x.array.astype(np.float64)
    if op in ("Floor", "Ceil"):
        g.away(np.abs(a - np.round(a)), x)
    elif op == "Round":
        g.away(np.abs(a - np.floor(a) - 0.5), x)
    elif op == "Sign":
        g.away(np.abs(a), x)
    elif op == "ThresholdedRelu":
        g.away(np.abs(a - 1), x)
    elif op in ("Reciprocal", "Log", "Sqrt"):
        g.sized(x)
    elif op in ("Sin", "Cos") and g.half and (np.abs(a) > 8).any():
        raise Declined()
    if (op == "Gelu" and g.opset < 20) or (op == "Mish" and g.opset < 18):
        raise Declined()
    if op == "Gelu":
        return g.emit(op, [x], x.dtype, approximate=g.rng.choice(["none", "tanh"]))
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
    ops = ["Add", "Sub", "Mul", "Min", "Max"] + (["Div", "Pow", "PRelu"] if x.dtype in FLOATS else [])
    op, y = g.rng.choice(ops), g.partner(x)
    pair = [x, y] if g.rng.random() < 0.5 else [y, x]
    if op == "Pow":
        if (pair[0].array <= 0).any():
            raise Declined()
        g.sized(pair[0])
    elif op == "Div":
        g.sized(pair[1])
    elif op == "PRelu":
        if y.rank > x.rank or np.broadcast_shapes(x.shape, y.shape) != x.shape:
            raise Declined()
        pair = [x, y]
    return g.emit(op, pair, x.dtype)


def integer_division(g):
    x = g.pick(INTS)
    divisor = g.np.integers(1, 7, x.shape[-1:]) if isinstance(x.dims[-1] if x.rank else 1, int) else g.np.integers(1, 7, (1,))
    w = g.weight(divisor.astype(NUMPY[x.dtype]))
    return g.emit("Mod", [x, w], x.dtype) if g.rng.random() < 0.5 else g.emit("Div", [not_negative(g, x), w], x.dtype)


def not_negative(g, x):
    """Integer division of negatives rounds as the implementation likes: avoid them."""
    if (x.array < 0).any():
        raise Declined()
    return x


def compare(g):
    x = g.pick(NUMBERS)
    op = g.rng.choice(["Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"])
    y = g.partner(x)
    if x.dtype in FLOATS and not (x.exact and y.exact):
        gap = np.abs(x.array.astype(np.float64) - y.array)
        bound = np.broadcast_to(g.tolerance(x.array), gap.shape) + g.tolerance(y.array)
        if not (gap > bound).all():
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
    a = x.array.astype(np.float64)
    if x.dtype in FLOATS and to in INTS:
        g.away(np.abs(a - np.round(a)), x)
    elif x.dtype in FLOATS and to == BOOL:
        g.away(np.abs(a), x)
    elif to == F16 and (np.abs(a) >= 64).any():
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
    if op == "ReduceL2" and not x.exact:
        g.sized(Value("", x.dtype, np.sqrt((x.array.astype(np.float64)**2).sum(tuple(axes))), [], False))
    if op == "ReduceSum" or g.opset >= 18:
        return g.emit(op, [x, g.constant(axes)], x.dtype, keepdims=keep)
    return g.emit(op, [x], x.dtype, axes=axes, keepdims=keep)


def arg(g):
    x = g.pick((F32,), least=1)
    axis = g.rng.randint(0, x.rank - 1)
    distinct(g, x, axis)
    return g.emit(g.rng.choice(["ArgMax", "ArgMin"]), [x], I64, axis=axis, keepdims=g.rng.randint(0, 1))


def distinct(g, x, axis):
    """Declines where rounding decides the order along the axis."""
    values = np.sort(x.array.astype(np.float64), axis=axis)
    if x.shape[axis] > 1:
        g.away(np.repeat(np.diff(values, axis=axis).min(axis, keepdims=True) / 2, x.shape[axis], axis), x)


def topk(g):
    x = g.pick((F32,), least=1)
    axis = g.rng.randint(0, x.rank - 1)
    distinct(g, x, axis)
    return g.emit("TopK", [x, g.constant([g.rng.randint(1, x.shape[axis])])], *g.rng.choice([(F32, 2, 0), (I64, 2, 1)]),
                  axis=g.rng.choice([axis, axis - x.rank]), largest=g.rng.randint(0, 1), sorted=1)


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


def variance(g, x, axes):
    """A small variance of inexact elements is mostly error."""
    if not x.exact and x.array.astype(np.float64).var(axes).min() < (1.0 if g.half else 1e-2):
        raise Declined()


def norm(g):
    x = g.pick((F32,), least=2)
    if g.rng.random() < 0.6:
        if not isinstance(x.dims[-1], int) or x.shape[-1] < 2:
            raise Declined()
        n = (x.shape[-1],)
        variance(g, x, (-1,))
        operands = [x, g.weight(g.data(F32, n))] + ([g.weight(g.data(F32, n))] if g.rng.random() < 0.7 else [])
        return g.emit("LayerNormalization", operands, F32, axis=-1, epsilon=1e-3)
    if not isinstance(x.dims[1], int):
        raise Declined()
    c = (x.shape[1],)
    if x.rank >= 3 and g.rng.random() < 0.5:
        variance(g, x, tuple(range(2, x.rank)))
        return g.emit("InstanceNormalization", [x, g.weight(g.data(F32, c)), g.weight(g.data(F32, c))], F32, epsilon=1e-2)
    if x.rank >= 3 and g.rng.random() < 0.3:
        return g.emit("LRN", [x], F32, size=g.rng.choice([1, 3, 5]), alpha=0.1, beta=0.75, bias=1.0)
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
    fixed = {"num_outputs": 2} if g.opset >= 18 and n % 2 == 0 and g.rng.random() < 0.5 else {}
    g.nodes.append(helper.make_node("Split", [x.name] + ([] if fixed else [parts]), names,
                                    name=f"Split_{len(g.nodes)}", axis=axis, **fixed))
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


def shaped_by(g):
    """Sizes computed from another value's shape: Shape, Gather or Slice, then an operator that wants sizes."""
    x, like = g.pick(), g.pick(least=1)
    sizes, _ = g.emit("Shape", [like], I64)
    if g.rng.random() < 0.5:
        at = sorted(g.rng.sample(range(like.rank), g.rng.randint(1, like.rank)))
        sizes, _ = g.emit("Gather", [sizes, g.constant(at)], I64, axis=0)
        shape = tuple(like.shape[i] for i in at)
    else:
        first = g.rng.randint(0, like.rank - 1)
        sizes, _ = g.emit("Slice", [sizes, g.constant([first]), g.constant([9])], I64)
        shape = like.shape[first:]
    kind = g.rng.choice(["fill", "reshape", "expand", "range"])
    if kind == "range" and len(shape) == 1:
        scalar, _ = g.emit("Squeeze", [sizes, g.constant([0])], I64)
        zero, one = g.weight(np.array(0, np.int64)), g.weight(np.array(1, np.int64))
        return g.emit("Range", [zero, scalar, one], I64)
    if kind == "reshape":
        rest, _ = g.emit("Concat", [sizes, g.constant([-1])], I64, axis=0)
        if x.array.size % max(1, int(np.prod(shape))):
            raise Declined()
        return g.emit("Reshape", [x, rest], x.dtype)
    if kind == "expand" and x.array.size == 1 and x.rank <= len(shape):
        return g.emit("Expand", [x, sizes], x.dtype)
    dtype = g.rng.choice([F32, I64])
    value = helper.make_tensor("value", ONNX[dtype], [1], [g.rng.choice([-1, 0, 2])])
    return g.emit("ConstantOfShape", [sizes], dtype, value=value)


def constant_node(g):
    dtype = g.rng.choice([F32, I64, I32])
    array = g.data(dtype, g.shape())
    return g.emit("Constant", [], dtype, value=helper.make_tensor("value", ONNX[dtype], array.shape, array.ravel()))


def range_(g):
    dtype = g.rng.choice([F32, I64, I32])
    start, step, count = g.rng.randint(-3, 3), g.rng.choice([1, 2, -1]), g.rng.randint(1, 9)
    return g.emit("Range", [g.weight(np.array(v, NUMPY[dtype])) for v in (start, start + step * count, step)], dtype)


def conv_transpose(g):
    x = g.pick((F32,), least=3)
    if x.rank > 4 or not isinstance(x.dims[1], int):
        raise Declined()
    spatial, c = x.rank - 2, x.shape[1]
    group = g.rng.choice([1, 1, c])
    kernel = [g.rng.randint(1, 3) for _ in range(spatial)]
    strides = [g.rng.randint(1, 2) for _ in kernel]
    operands = [x, g.weight(g.data(F32, (c, g.rng.choice([1, 2, 3]), *kernel)))]
    extra = {"output_padding": [s - 1 for s in strides]} if g.rng.random() < 0.3 else {}
    return g.emit("ConvTranspose", operands, F32, group=group, kernel_shape=kernel, strides=strides,
                  pads=[g.rng.randint(0, (k - 1) // 2) for k in kernel] * 2, **extra)


def resize(g):
    x = g.pick((F32,), rank=4)
    mode = g.rng.choice(["nearest", "linear"])
    how = g.rng.choice(["half_pixel", "asymmetric", "align_corners"])
    attributes = {"mode": mode, "coordinate_transformation_mode": how}
    if mode == "nearest":
        attributes["nearest_mode"] = "floor"
    if how == "align_corners" and (x.shape[2] == 1 or x.shape[3] == 1):
        raise Declined()
    empty = ""
    if g.rng.random() < 0.5:
        # Powers of two: a source coordinate is exact, and so is the element it picks.
        scales = [1, 1, g.rng.choice([1, 2, 0.5]), g.rng.choice([1, 2, 4])]
        if how == "align_corners" or any(int(d * s) < 1 for d, s in zip(x.shape, scales)):
            raise Declined()
        return g.emit("Resize", [x, empty, g.weight(np.array(scales, np.float32))], F32, **attributes)
    if any(not isinstance(d, int) for d in x.dims[:2]) or mode == "nearest":
        raise Declined()
    sizes = [*x.shape[:2], g.rng.randint(2, 9), g.rng.randint(2, 9)]
    return g.emit("Resize", [x, empty, empty, g.constant(sizes)], F32, **attributes)


def gather_elements(g):
    x = g.pick(least=1)
    axis = g.rng.randint(0, x.rank - 1)
    shape = tuple(g.rng.randint(1, d) if i != axis else g.rng.randint(1, 5) for i, d in enumerate(x.shape))
    indices = g.np.integers(-x.shape[axis], x.shape[axis], shape)
    if g.rng.random() < 0.5:
        return g.emit("GatherElements", [x, g.weight(indices)], x.dtype, axis=axis)
    shape = tuple(d if i != axis else min(shape[axis], d) for i, d in enumerate(shape))
    # Each target once: in which order equal ones are written is not said.
    indices = np.argsort(g.np.random(shape), axis=axis)
    return g.emit("ScatterElements", [x, g.weight(indices), g.weight(g.data(x.dtype, shape))], x.dtype, axis=axis)


def gather_nd(g):
    x = g.pick(least=1)
    depth = g.rng.randint(1, x.rank)
    if g.rng.random() < 0.5:
        lead = g.rng.choice([(), (2,), (2, 3)])
        indices = np.stack([g.np.integers(-d, d, lead) for d in x.shape[:depth]], axis=-1)
        return g.emit("GatherND", [x, g.weight(indices)], x.dtype)
    if any(not isinstance(d, int) for d in x.dims):
        raise Declined()
    count = int(np.prod(x.shape[:depth]))
    flat = g.np.permutation(count)[: g.rng.randint(1, min(count, 4))]
    indices = np.stack(np.unravel_index(flat, x.shape[:depth]), axis=-1).astype(np.int64)
    return g.emit("ScatterND", [x, g.weight(indices), g.weight(g.data(x.dtype, (len(flat), *x.shape[depth:])))], x.dtype)


def trilu(g):
    x = g.pick(NUMBERS, least=2)
    operands = [x] + ([g.weight(np.array(g.rng.randint(-2, 2), np.int64))] if g.rng.random() < 0.6 else [])
    return g.emit("Trilu", operands, x.dtype, upper=g.rng.randint(0, 1))


def depth_space(g):
    x = g.pick((F32,), rank=4)
    if x.dims[1] in (4, 8, 16):
        return g.emit("DepthToSpace", [x], F32, blocksize=2, mode=g.rng.choice(["DCR", "CRD"]))
    if all(isinstance(d, int) and d % 2 == 0 for d in x.dims[2:]):
        return g.emit("SpaceToDepth", [x], F32, blocksize=2)
    raise Declined()


def einsum(g):
    x = g.pick((F32,), least=2)
    y = g.pick((F32,), rank=x.rank)
    if x.dims != y.dims or "?" in x.dims or x.rank > 4:
        raise Declined()
    letters = "abcd"[: x.rank]
    kept = "".join(g.rng.sample(letters, g.rng.randint(0, x.rank)))
    return g.emit("Einsum", [x, y], F32, equation=f"{letters},{letters}->{kept}")


def one_hot(g):
    x = g.pick((I64,))
    if x.rank > 3 or (x.array < 0).any():
        raise Declined()
    values = g.weight(g.data(F32, (2,)))
    return g.emit("OneHot", [x, g.constant([g.rng.randint(1, 6)]), values], F32, axis=g.rng.choice([-1, 0]))


def many(g):
    x = g.pick((F32,))
    return g.emit(g.rng.choice(["Sum", "Mean", "Max", "Min"]), [x, g.partner(x), g.partner(x)], F32)


def recurrent(g):
    x = g.pick((F32,), rank=3)
    if g.half or not isinstance(x.dims[2], int) or x.array.size > 512:
        raise Declined()
    op, gates = g.rng.choice([("LSTM", 4), ("GRU", 3), ("RNN", 1)])
    hidden, both = g.rng.choice([1, 3, 5]), g.rng.random() < 0.3
    n = 2 if both else 1
    operands = [x] + [g.weight(g.data(F32, shape) / 2) for shape in
                      ((n, gates * hidden, x.shape[2]), (n, gates * hidden, hidden), (n, 2 * gates * hidden))]
    attributes = {"clip": 0.5} if g.rng.random() < 0.4 else {}
    if op == "LSTM" and g.rng.random() < 0.4:
        operands += ["", "", "", g.weight(g.data(F32, (n, 3 * hidden)) / 2)]
    if op == "GRU":
        attributes["linear_before_reset"] = g.rng.randint(0, 1)
    return g.emit(op, operands, F32, hidden_size=hidden, direction="bidirectional" if both else
                  g.rng.choice(["forward", "reverse"]), **attributes)


def numbers_at_all(g):
    return g.emit(g.rng.choice(["IsNaN", "IsInf"]), [g.pick((F32,))], BOOL)


STEPS, WEIGHTS = zip(*[
    (unary, 14), (unary_int, 2), (logic, 2), (binary, 18), (integer_division, 1), (compare, 3), (where, 3), (cast, 4),
    (clip, 2), (softmax, 3), (reduce, 8), (arg, 1), (topk, 1), (matmul, 6), (gemm, 3), (conv, 3), (conv_transpose, 2),
    (pool, 3), (norm, 4), (resize, 3), (transpose, 6), (reshape, 5), (flatten, 2), (unsqueeze, 3), (squeeze, 2),
    (concat, 4), (slice_, 5), (split, 2), (gather, 3), (gather_elements, 1), (gather_nd, 1), (expand, 2), (tile, 2),
    (pad, 3), (cumsum, 1), (shape_of, 1), (shaped_by, 4), (constant_node, 1), (range_, 1), (trilu, 1),
    (depth_space, 2), (einsum, 1), (one_hot, 1), (many, 2), (numbers_at_all, 1), (recurrent, 3)])
