"""Loops, branches and sizes that only the device knows, beside ONNX Runtime.

Each model runs as compiled by default, without fusion and with every k-th plan
refused. One session takes all of a model's inputs, and the first again: what one
call leaves in its memory must not show in the next.
"""

import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import checks
from checks import check

isthmus = checks.import_isthmus()
F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node, info = helper.make_node, helper.make_tensor_value_info


def const(name, value):
    return numpy_helper.from_array(np.array(value), name)


def graph(name, nodes, inputs, outputs, weights=()):
    return helper.make_graph(nodes, name, inputs, outputs, list(weights))


def loop_body(nodes, carried, outputs, weights=()):
    """carried: infos of the inputs behind iteration and condition."""
    return graph("body", nodes, [info("i", I, []), info("c_in", B, [])] + carried, outputs, weights)


def if_both():
    """Branches with different sizes; one passes an outer value through."""
    then = graph("then", [node("Concat", ["x", "x"], ["t"], axis=0), node("Relu", ["t"], ["a"])], [], [info("a", F, None)])
    other = graph("else", [node("Neg", ["x"], ["b"])], [], [info("b", F, None)])
    through = graph("then2", [node("Identity", ["x"], ["p"])], [], [info("p", F, None)])
    add = graph("else2", [node("Add", ["x", "x"], ["q"])], [], [info("q", F, None)])
    nodes = [node("ReduceSum", ["x"], ["s"], keepdims=0), node("Greater", ["s", "zero"], ["c"]),
             node("If", ["c"], ["y"], then_branch=then, else_branch=other),
             node("If", ["c"], ["z0"], then_branch=through, else_branch=add), node("Exp", ["z0"], ["z"]),
             node("Tanh", ["y"], ["w"])]
    x = np.linspace(-1, 2, 12, dtype=np.float32).reshape(4, 3)
    return (graph("if", nodes, [info("x", F, ["n", 3])], [info("y", F, None), info("z", F, None), info("w", F, None)],
                  [const("zero", np.float32(0))]),
            [{"x": x}, {"x": -x}, {"x": x[:1]}, {"x": x}])


def while_loop():
    """Newton's iteration until it is good enough: a condition on the device."""
    body = loop_body(
        [node("Div", ["a", "v"], ["q"]), node("Add", ["v", "q"], ["t"]), node("Mul", ["t", "half"], ["v_out"]),
         node("Mul", ["v_out", "v_out"], ["sq"]), node("Sub", ["sq", "a"], ["d"]), node("Abs", ["d"], ["e"]),
         node("ReduceMax", ["e"], ["worst"], keepdims=0), node("Greater", ["worst", "small"], ["c_out"])],
        [info("v", F, ["n"])], [info("c_out", B, []), info("v_out", F, ["n"])])
    nodes = [node("Loop", ["", "yes", "a"], ["root"], body=body)]
    return (graph("while", nodes, [info("a", F, ["n"])], [info("root", F, ["n"])],
                  [const("yes", True), const("half", np.float32(0.5)), const("small", np.float32(1e-3))]),
            [{"a": np.array(a, np.float32)} for a in ([4.0, 9.0], [1e6, 2.0, 1.0], [1.0])])


def counted(scan=True):
    """A trip count from the caller; a carried vector, a sum on the host, rows."""
    body = loop_body(
        [node("Identity", ["c_in"], ["c_out"]), node("Add", ["k", "i"], ["k_out"]), node("Cast", ["k_out"], ["f"], to=F),
         node("Add", ["v", "f"], ["v_out"]), node("MatMul", ["v_out", "w"], ["row"])],
        [info("v", F, ["n"]), info("k", I, [])],
        [info("c_out", B, []), info("v_out", F, ["n"]), info("k_out", I, [])] + ([info("row", F, [5])] if scan else []),
        [const("w", np.arange(15, dtype=np.float32).reshape(3, 5) / 7)])
    outs = ["v", "k"] + (["rows"] if scan else [])
    nodes = [node("Loop", ["m", "", "x", "k0"], outs, body=body), node("Shape", ["v"], ["s"])]
    return (graph("counted", nodes, [info("m", I, []), info("x", F, [3])],
                  [info("v", F, None), info("k", I, None), info("s", I, None)] + ([info("rows", F, None)] if scan else []),
                  [const("k0", np.int64(10))]),
            [{"m": np.int64(m), "x": np.array([1, -2, 3], np.float32)} for m in (3, 0, 100, 1, 17, -2)])


def early_exit():
    """Both a trip count and a condition; rows grow as they come."""
    body = loop_body(
        [node("Add", ["v", "v"], ["v_out"]), node("ReduceMax", ["v_out"], ["top"], keepdims=0),
         node("Less", ["top", "limit"], ["c_out"]), node("Sub", ["v_out", "v"], ["d"])],
        [info("v", F, ["n"])], [info("c_out", B, []), info("v_out", F, ["n"]), info("d", F, ["n"])])
    nodes = [node("Loop", ["m", "go", "x"], ["v", "rows"], body=body), node("ReduceSum", ["rows"], ["sum"])]
    x = np.array([1, 2, 3], np.float32)
    return (graph("early", nodes, [info("m", I, []), info("go", B, []), info("x", F, ["n"]), info("limit", F, [])],
                  [info("v", F, None), info("rows", F, None), info("sum", F, None)]),
            [{"m": np.int64(m), "go": np.bool_(go), "x": x, "limit": np.float32(limit)}
             for m, go, limit in ((50, True, 1000), (3, True, 1e9), (50, True, 0), (50, False, 1e9), (0, True, 1e9), (50, True, 1e9))])


def growing():
    """The carried tensor is longer in every iteration."""
    body = loop_body(
        [node("Identity", ["c_in"], ["c_out"]), node("Concat", ["v", "one"], ["w"], axis=0), node("Add", ["w", "one"], ["v_out"])],
        [info("v", F, None)], [info("c_out", B, []), info("v_out", F, None)])
    nodes = [node("Loop", ["m", "", "x"], ["y"], body=body), node("Exp", ["y"], ["z"])]
    return (graph("growing", nodes, [info("m", I, []), info("x", F, ["n"])], [info("y", F, ["k"]), info("z", F, ["k"])],
                  [const("one", np.ones(1, np.float32))]),
            [{"m": np.int64(m), "x": np.zeros(n, np.float32)} for m, n in ((4, 2), (0, 3), (70, 1), (2, 5))])


def fibonacci():
    """Integers only: two carried values that change places, all on the host."""
    body = loop_body(
        [node("Identity", ["b"], ["a_out"]), node("Add", ["a", "b"], ["b_out"]), node("Less", ["b_out", "limit"], ["c_out"]),
         node("Identity", ["a"], ["row"])],
        [info("a", I, []), info("b", I, [])],
        [info("c_out", B, []), info("a_out", I, []), info("b_out", I, []), info("row", I, [])])
    nodes = [node("Loop", ["m", "", "zero", "one"], ["a", "b", "rows"], body=body), node("Range", ["zero", "a", "one"], ["r"])]
    return (graph("fibonacci", nodes, [info("m", I, []), info("limit", I, [])],
                  [info("a", I, None), info("b", I, None), info("rows", I, None), info("r", I, None)],
                  [const("zero", np.int64(0)), const("one", np.int64(1))]),
            [{"m": np.int64(m), "limit": np.int64(limit)} for m, limit in ((10, 1000), (80, 30), (0, 5), (5, 0))])


def counted_fibonacci():
    """The same in a counted loop: a yielded value is another's argument."""
    body = loop_body([node("Identity", ["c_in"], ["c_out"]), node("Identity", ["b"], ["a_out"]), node("Add", ["a", "b"], ["b_out"])],
                     [info("a", I, []), info("b", I, [])], [info("c_out", B, []), info("a_out", I, []), info("b_out", I, [])])
    nodes = [node("Loop", ["m", "", "zero", "one"], ["a", "b"], body=body)]
    return (graph("counted_fibonacci", nodes, [info("m", I, [])], [info("a", I, None), info("b", I, None)],
                  [const("zero", np.int64(0)), const("one", np.int64(1))]),
            [{"m": np.int64(m)} for m in (10, 80, 0, 1)])


def nested():
    """A loop in a branch in a loop; the inner trip count is the outer iteration."""
    inner = graph("inner", [node("Identity", ["cc"], ["cc_out"]), node("Mul", ["u", "two"], ["u_out"])],
                  [info("j", I, []), info("cc", B, []), info("u", F, ["n"])], [info("cc_out", B, []), info("u_out", F, ["n"])])
    then = graph("then", [node("Loop", ["i", "", "v"], ["p"], body=inner)], [], [info("p", F, ["n"])])
    other = graph("else", [node("Sub", ["v", "two"], ["q"])], [], [info("q", F, ["n"])])
    body = loop_body(
        [node("Identity", ["c_in"], ["c_out"]), node("ReduceSum", ["v"], ["s"], keepdims=0), node("Less", ["s", "bound"], ["small"]),
         node("If", ["small"], ["v_out"], then_branch=then, else_branch=other)],
        [info("v", F, ["n"])], [info("c_out", B, []), info("v_out", F, ["n"])])
    nodes = [node("Loop", ["m", "", "x"], ["y"], body=body)]
    return (graph("nested", nodes, [info("m", I, []), info("x", F, ["n"]), info("bound", F, [])], [info("y", F, ["n"])],
                  [const("two", np.float32(2))]),
            [{"m": np.int64(m), "x": np.array([1, 2, 3, 4], np.float32), "bound": np.float32(bound)}
             for m, bound in ((6, 500), (6, 0), (0, 1), (5, 1e9))])


def many_regions():
    """Three growing accumulators in one loop; one of them is used by nobody."""
    body = loop_body(
        [node("Add", ["v", "v"], ["v_out"]), node("ReduceMax", ["v_out"], ["top"], keepdims=0), node("Less", ["top", "limit"], ["c_out"]),
         node("Neg", ["v"], ["r"]), node("Exp", ["v"], ["s"]), node("Abs", ["r"], ["t"])],
        [info("v", F, ["n"])], [info("c_out", B, []), info("v_out", F, ["n"])] + [info(o, F, ["n"]) for o in "rst"])
    nodes = [node("Loop", ["", "", "x"], ["v", "p", "unused", "q"], body=body), node("Add", ["p", "q"], ["z"])]
    return (graph("many_regions", nodes, [info("x", F, ["n"]), info("limit", F, [])], [info("v", F, None), info("p", F, None), info("z", F, None)]),
            [{"x": np.array([1, 2, -3], np.float32) / 8, "limit": np.float32(limit)} for limit in (1, 50, 0)])


def nonzero():
    """As many rows as there are non-zeros, in a matrix product."""
    nodes = [node("NonZero", ["x"], ["at"]), node("Transpose", ["at"], ["t"], perm=[1, 0]), node("GatherND", ["y", "t"], ["rows"]),
             node("MatMul", ["rows", "w"], ["p"]), node("Relu", ["p"], ["z"])]
    rng = np.random.default_rng(1)
    x = rng.integers(0, 2, 6).astype(np.float32)
    y = rng.standard_normal((6, 4)).astype(np.float32)
    return (graph("nonzero", nodes, [info("x", F, [6]), info("y", F, [6, 4])], [info("z", F, ["k", 8])],
                  [const("w", rng.standard_normal((4, 8)).astype(np.float32))]),
            [{"x": v, "y": y} for v in (x, np.zeros(6, np.float32), np.ones(6, np.float32))])


def data_rows():
    """Rows collected in a loop whose sizes come from the device."""
    body = loop_body(
        [node("Identity", ["c_in"], ["c_out"]), node("Add", ["v", "v"], ["v_out"]), node("Transpose", ["at"], ["t"], perm=[1, 0]),
         node("GatherND", ["v_out", "t"], ["row"])],
        [info("v", F, ["n"])], [info("c_out", B, []), info("v_out", F, ["n"]), info("row", F, ["k"])])
    nodes = [node("NonZero", ["x"], ["at"]), node("Loop", ["m", "", "x"], ["v", "rows"], body=body)]
    x = np.array([1, 0, 2, 0, 3], np.float32)
    return (graph("data_rows", nodes, [info("m", I, []), info("x", F, ["n"])], [info("v", F, ["n"]), info("rows", F, None)]),
            [{"m": np.int64(m), "x": x} for m in (3, 6, 1)])


def scan_symbolic():
    """A cumulative sum over a symbolic axis, rows both ways and along axis 1."""
    body = graph("body", [node("Add", ["s", "e"], ["s_out"]), node("Identity", ["s_out"], ["o1"]), node("Mul", ["s_out", "e"], ["o2"])],
                 [info("s", F, [3]), info("e", F, [3])], [info("s_out", F, [3]), info("o1", F, [3]), info("o2", F, [3])])
    common = dict(body=body, num_scan_inputs=1)
    nodes = [node("Scan", ["z", "x"], ["a", "b", "c"], **common, scan_output_axes=[1, 0], scan_output_directions=[0, 1]),
             node("Scan", ["z", "x2"], ["d", "e", "f"], **common, scan_input_axes=[1], scan_input_directions=[1])]
    rng = np.random.default_rng(5)
    return (graph("scan", nodes, [info("x", F, ["n", 3]), info("x2", F, [3, "m"])],
                  [info(o, F, None) for o in "abcdef"], [const("z", np.zeros(3, np.float32))]),
            [{"x": rng.standard_normal((n, 3)).astype(np.float32), "x2": rng.standard_normal((3, m)).astype(np.float32)}
             for n, m in ((5, 2), (1, 4), (70, 9))])


def invariants():
    """What iterations do not change: a carried weight, and work on it."""
    body = loop_body(
        [node("Identity", ["c_in"], ["c_out"]), node("Identity", ["w"], ["w_out"]), node("Transpose", ["w"], ["t"], perm=[1, 0]),
         node("MatMul", ["v", "t"], ["p"]), node("Tanh", ["p"], ["v_out"])],
        [info("w", F, [4, 4]), info("v", F, ["n", 4])],
        [info("c_out", B, []), info("w_out", F, [4, 4]), info("v_out", F, ["n", 4])])
    nodes = [node("Loop", ["m", "", "w0", "x"], ["w1", "y"], body=body), node("Add", ["w1", "w1"], ["w2"])]
    rng = np.random.default_rng(2)
    return (graph("invariants", nodes, [info("m", I, []), info("x", F, ["n", 4])], [info("w2", F, None), info("y", F, None)],
                  [const("w0", rng.standard_normal((4, 4)).astype(np.float32))]),
            [{"m": np.int64(m), "x": rng.standard_normal((n, 4)).astype(np.float32)} for m, n in ((5, 3), (0, 2), (1, 1))])


def swap():
    """Two carried tensors change places: each is read after the other is set."""
    body = loop_body([node("Identity", ["c_in"], ["c_out"]), node("Identity", ["b"], ["a_out"]), node("Identity", ["a"], ["b_out"])],
                     [info("a", F, ["n"]), info("b", F, ["n"])], [info("c_out", B, []), info("a_out", F, ["n"]), info("b_out", F, ["n"])])
    nodes = [node("Loop", ["m", "", "x", "y"], ["p", "q"], body=body)]
    return (graph("swap", nodes, [info("m", I, []), info("x", F, ["n"]), info("y", F, ["n"])], [info("p", F, None), info("q", F, None)]),
            [{"m": np.int64(m), "x": np.arange(4, dtype=np.float32), "y": -np.arange(4, dtype=np.float32)} for m in (0, 1, 2, 5)])


def empty_rows():
    """Rows of a tensor without elements, and an empty part at a dim's end."""
    nodes = [node("SplitToSequence", ["x"], ["s"], axis=0), node("ConcatFromSequence", ["s"], ["z"], axis=0),
             node("SplitToSequence", ["y", "parts"], ["t"], axis=0), node("SequenceAt", ["t", "last"], ["e"]),
             node("ReduceSum", ["e"], ["sum"], keepdims=0)]
    return (graph("empty_rows", nodes, [info("x", F, [2, 0, 4]), info("y", F, [3, 2])], [info("z", F, [2, 0, 4]), info("sum", F, [])],
                  [const("parts", np.array([3, 0], np.int64)), const("last", np.int64(1))]),
            [{"x": np.zeros((2, 0, 4), np.float32), "y": np.ones((3, 2), np.float32)}])


def empty_scan():
    """A loop that collects rows without elements."""
    body = graph("body", [node("Identity", ["row"], ["out"]), node("ReduceSum", ["row"], ["sum"], keepdims=0), node("Add", ["s", "sum"], ["t"])],
                 [info("s", F, []), info("row", F, [0])], [info("t", F, []), info("out", F, [0])])
    return (graph("empty_scan", [node("Scan", ["s", "x"], ["t", "all"], body=body, num_scan_inputs=1)],
                  [info("s", F, []), info("x", F, ["n", 0])], [info("t", F, []), info("all", F, ["n", 0])]),
            [{"s": np.float32(2), "x": np.zeros((n, 0), np.float32)} for n in (3, 1)])


def narrow_sizes():
    """A size as an integer of 8 or 16 bits wraps, on the host too."""
    nodes = [node("Shape", ["x"], ["s"])]
    for name, to in (("u8", TensorProto.UINT8), ("i8", TensorProto.INT8), ("i16", TensorProto.INT16)):
        nodes += [node("Cast", ["s"], [name + "c"], to=to), node("Mul", [name + "c", name + "c"], [name + "m"]),
                  node("Cast", [name + "m"], [name], to=I)]
    return (graph("narrow_sizes", nodes, [info("x", F, ["n"])], [info(o, I, [1]) for o in ("u8", "i8", "i16")]),
            [{"x": np.zeros(n, np.float32)} for n in (300, 1, 200, 70000)])


def host_data():
    """Integers that sizes depend on wrap, on the host too."""
    nodes, outputs = [], ["r"]
    for name, to in (("i32", TensorProto.INT32), ("u32", TensorProto.UINT32)):
        # The slice brings n to the host; what follows is computed there.
        nodes += [node("Cast", ["n"], [name], to=to), node("Mul", [name, name], [name + "m"]), node("Add", [name + "m", name], [name + "a"]),
                  node("Div", [name + "a", name + "seven"], [name + "d"]), node("Cast", [name + "d"], [name + "o"], to=I)]
        outputs += [name + "o"]
    nodes = [node("Slice", ["x", "zero", "n"], ["r"])] + nodes
    return (graph("host_data", nodes, [info("x", F, ["k"]), info("n", I, [1])],
                  [info("r", F, None), *(info(o, I, [1]) for o in outputs[1:])],
                  [const("zero", np.int64([0])), const("i32seven", np.int32([7])), const("u32seven", np.uint32([7]))]),
            [{"x": np.arange(5, dtype=np.float32), "n": np.int64([n])}
             for n in (3, 65537, 100003, -70001, 2**31, 2**40 + 9, -2**63, 2**63 - 1)])


def outer_rows():
    """A loop's rows over tensors of two lengths that kernels before it made."""
    body = loop_body(
        [node("Identity", ["c_in"], ["c_out"]), node("Add", ["p", "v"], ["e"]), node("ReduceMax", ["e"], ["s"], axes=[1], keepdims=1),
         node("Mul", ["q", "s"], ["w_out"]), node("Mul", ["v", "half"], ["v_out"])],
        [info("v", F, []), info("w", F, ["n", "k"])], [info("c_out", B, []), info("v_out", F, []), info("w_out", F, ["n", "k"])])
    nodes = [node("Exp", ["x"], ["p"]), node("Tanh", ["y"], ["q"]), node("Loop", ["t", "", "v0", "y"], ["v", "w"], body=body)]
    rng = np.random.default_rng(9)
    return (graph("outer_rows", nodes, [info("t", I, []), info("x", F, ["n", "m"]), info("y", F, ["n", "k"])],
                  [info("v", F, None), info("w", F, None)], [const("v0", np.float32(0.25)), const("half", np.float32(0.5))]),
            [{"t": np.int64(3), "x": rng.standard_normal((n, m)).astype(np.float32), "y": rng.standard_normal((n, k)).astype(np.float32)}
             for n, m, k in ((3, 17, 5), (2, 4, 40), (1, 8, 8))])


def run(istc, work, make):
    import onnxruntime

    g, cases = make()
    path = os.path.join(work, g.name + ".onnx")
    onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for options in ([], ["-O0"], ["--test-refuse-plans=2"], ["--test-refuse-plans=1"]):
        artifact = os.path.join(work, "m.ist")
        done = subprocess.run([istc, path, "-o", artifact, *options], capture_output=True, text=True)
        if done.returncode:
            check(False, f"{g.name} {options}: {done.stderr[:1500]}")
            break
        worst = 0.0
        compiled = isthmus.load(artifact)
        for k, feeds in enumerate(cases + cases[:1]):
            case = f"{g.name} {options} case {k}: "
            feeds = {n: np.asarray(v) for n, v in feeds.items()}
            try:
                results = compiled(**feeds)
            except RuntimeError as e:
                check(False, case + str(e))
                continue
            results = results if isinstance(results, tuple) else (results,)
            check(len(results) == len(g.output), f"{case}{len(results)} results for {len(g.output)} outputs", quiet=True)
            for out, got, want in zip(g.output, results, session.run(None, feeds)):
                check(got.dtype == want.dtype, f"{case}{out.name} is {got.dtype}, not {want.dtype}", quiet=True)
                # Rows of no iteration: of the sizes that are known, there 0.
                empty = not want.size and not got.size and got.ndim == want.ndim
                if got.shape != want.shape and not empty:
                    check(False, f"{case}{out.name} has shape {got.shape}, not {want.shape}")
                elif want.size:
                    scale = np.abs(want).max() * 1e-5 + 1e-3 * np.abs(want)
                    off = float((np.abs(got.astype(np.float64) - want) / np.maximum(scale, 1e-30)).max())
                    worst = max(worst, off)
                    check(off <= 1, f"{case}{out.name} is {got.ravel()[:6]}, not {want.ravel()[:6]}", quiet=True)
        print(f"{g.name} {' '.join(options)}: {len(cases) + 1} cases, {worst:.1e} of what is allowed")


def main():
    tests = [if_both, while_loop, counted, early_exit, growing, fibonacci, counted_fibonacci, nested, many_regions, nonzero,
             data_rows, scan_symbolic, invariants, swap, empty_rows, empty_scan, narrow_sizes, host_data, outer_rows]
    if len(sys.argv) > 1:
        tests = [t for t in tests if t.__name__ in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as work:
        for make in tests:
            run(shutil.which("istc"), work, make)
    return checks.failures != 0


if __name__ == "__main__":
    sys.exit(main())
