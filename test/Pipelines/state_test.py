"""Outputs that live in inputs (istc --state), beside ONNX Runtime.

The state is one array that every call reads and writes; ONNX Runtime gets it as
an input and its result as the next one.
"""

import os
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
rng = np.random.default_rng(11)


def draw(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def save(path, name, nodes, inputs, outputs, weights=()):
    g = helper.make_graph(nodes, name, inputs, outputs, [numpy_helper.from_array(np.array(v), n) for n, v in weights])
    onnx.save(helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def istc(*arguments):
    return subprocess.run(["istc", *arguments], capture_output=True, text=True)


def steps(work, name, states, feeds, state, *model, options=()):
    """Runs the model over `feeds` with `states` = {input: output} in place."""
    import onnxruntime

    path, artifact = os.path.join(work, name + ".onnx"), os.path.join(work, name + ".ist")
    save(path, name, *model)
    done = istc(path, "-o", artifact, *options, *[f"--state={i}={o}" for i, o in states.items()])
    if done.returncode:
        check(False, f"{name}: {done.stderr}")
        return ""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = [o.name for o in session.get_outputs()]
    ours = isthmus.load(artifact)
    theirs = {k: v.copy() for k, v in state.items()}
    mine = {k: v.copy() for k, v in state.items()}
    ok = True
    for feed in feeds:
        want = dict(zip(outputs, session.run(None, {**feed, **theirs})))
        theirs = {i: want[o] for i, o in states.items()}
        results = ours(**feed, **mine)
        results = results if isinstance(results, tuple) else (results,)
        ok &= len(results) == len(outputs)
        for o, got in zip(outputs, results):
            ok &= got.dtype == want[o].dtype and got.shape == want[o].shape and np.allclose(got, want[o], rtol=1e-4, atol=1e-5)
        for i, o in states.items():
            ok &= results[outputs.index(o)] is mine[i]
            ok &= np.allclose(mine[i], want[o], rtol=1e-4, atol=1e-5)
    check(ok, f"{name} {' '.join(options)}: {len(feeds)} calls")
    text = istc(path, "--emit=program", *options, *[f"--state={i}={o}" for i, o in states.items()]).stdout
    return text


def cache(work, options=()):
    """New rows go into a cache of keys: nothing else of it is touched."""
    b, h, s, d = 2, 3, 7, 4
    nodes = [node("Expand", ["at", "shape"], ["where"]), node("ScatterElements", ["past", "where", "k"], ["present"], axis=2),
             node("Transpose", ["present"], ["t"], perm=[0, 1, 3, 2]), node("MatMul", ["q", "t"], ["scores"])]
    model = (nodes, [info("past", F, [b, h, s, d]), info("k", F, [b, h, 1, d]), info("q", F, [b, h, 1, d]), info("at", I, [1, 1, 1, 1])],
             [info("present", F, [b, h, s, d]), info("scores", F, [b, h, 1, s])], [("shape", np.array([b, h, 1, d]))])
    feeds = [{"k": draw(b, h, 1, d), "q": draw(b, h, 1, d), "at": np.full((1, 1, 1, 1), i)} for i in range(s)]
    text = steps(work, "cache", {"past": "present"}, feeds, {"past": np.zeros((b, h, s, d), np.float32)}, *model, options=options)
    check(": copy" not in text, "cache: no copy of it is made")
    # Somebody still reads what was there: now a copy is needed.
    nodes.append(node("ReduceSum", ["past"], ["before"], keepdims=0))
    model = (nodes, model[1], model[2] + [info("before", F, [])], model[3])
    text = steps(work, "cache_before", {"past": "present"}, feeds, {"past": draw(b, h, s, d)}, *model, options=options)
    check(": copy" in text, "cache_before: a copy is needed")


def recurrent(work, options=()):
    """Every element of the next state needs all of the last one."""
    model = ([node("MatMul", ["h", "u"], ["hu"]), node("MatMul", ["x", "w"], ["xw"]), node("Add", ["hu", "xw"], ["s"]),
              node("Tanh", ["s"], ["next"]), node("Neg", ["next"], ["y"])],
             [info("x", F, ["n", 3]), info("h", F, ["n", 5])], [info("y", F, ["n", 5]), info("next", F, ["n", 5])],
             [("u", draw(5, 5)), ("w", draw(3, 5))])
    steps(work, "recurrent", {"h": "next"}, [{"x": draw(4, 3)} for _ in range(4)], {"h": draw(4, 5)}, *model, options=options)


def exchange(work, options=()):
    """Two states that change places, and the old one as an output."""
    model = ([node("Identity", ["b"], ["a1"]), node("Identity", ["a"], ["b1"]), node("Identity", ["a"], ["old"]), node("Add", ["a", "x"], ["y"])],
             [info("a", F, [4]), info("b", F, [4]), info("x", F, [4])],
             [info("a1", F, [4]), info("old", F, [4]), info("b1", F, [4]), info("y", F, [4])])
    steps(work, "exchange", {"a": "a1", "b": "b1"}, [{"x": draw(4)} for _ in range(3)], {"a": draw(4), "b": draw(4)}, *model, options=options)


def loops(work, options=()):
    """A state that a loop carries, and one that a branch keeps or changes."""
    body = helper.make_graph(
        [node("Identity", ["c_in"], ["c_out"]), node("Unsqueeze", ["i", "first"], ["at"]), node("Mul", ["x", "x"], ["x2"]),
         node("ScatterElements", ["v", "at", "x2"], ["v_out"])],
        "body", [info("i", I, []), info("c_in", B, []), info("v", F, [6])], [info("c_out", B, []), info("v_out", F, [6])])
    keep = helper.make_graph([node("Identity", ["w"], ["k"])], "keep", [], [info("k", F, [1])])
    change = helper.make_graph([node("Add", ["w", "x"], ["l"])], "change", [], [info("l", F, [1])])
    model = ([node("Loop", ["m", "", "v0"], ["v1"], body=body), node("If", ["c"], ["w1"], then_branch=change, else_branch=keep)],
             [info("v0", F, [6]), info("w", F, [1]), info("m", I, []), info("x", F, [1]), info("c", B, [])],
             [info("v1", F, [6]), info("w1", F, [1])], [("first", np.array([0]))])
    feeds = [{"m": np.array(m), "x": draw(1), "c": np.array(bool(m % 2))} for m in (2, 0, 5, 3)]
    steps(work, "loops", {"v0": "v1", "w": "w1"}, feeds, {"v0": draw(6), "w": draw(1)}, *model, options=options)


def growing(work):
    """More rows than before, into memory that has room for them."""
    path, artifact = os.path.join(work, "grow.onnx"), os.path.join(work, "grow.ist")
    save(path, "grow", [node("Concat", ["past", "k"], ["present"], axis=0)],
         [info("past", F, ["n", 4]), info("k", F, [1, 4])], [info("present", F, ["m", 4])])
    done = istc(path, "-o", artifact, "--state=past=present", "--shape=n:0..8")
    check(not done.returncode, "grow: compiles " + done.stderr)
    ours = isthmus.load(artifact)
    memory, want = np.full((3, 4), -1, np.float32), np.zeros((0, 4), np.float32)
    for i in range(4):
        k = draw(1, 4)
        try:
            got = ours(past=isthmus.State(memory, (i, 4)), k=k)
        except RuntimeError as e:
            check(i == 3 and "present" in str(e), f"grow: call {i} is refused: {e}")
            break
        want = np.concatenate([want, k])
        check(np.array_equal(got, want) and np.array_equal(memory[:i + 1], want), f"grow: {i + 1} rows")


def refused(work):
    path = os.path.join(work, "r.onnx")
    save(path, "r", [node("Cast", ["x"], ["y"], to=I), node("Neg", ["x"], ["z"])], [info("x", F, [4])], [info("y", I, [4]), info("z", F, [4])])
    for state, part in (("x=nothing", "no output 'nothing'"), ("nothing=y", "no input 'nothing'"), ("x=y", "different types"), ("x", "not input=output")):
        done = istc(path, "-o", os.path.join(work, "r.ist"), "--state=" + state)
        check(done.returncode == 1 and "IST-C0009" in done.stderr and part in done.stderr, f"--state={state}: {done.stderr.strip()}")
    done = istc(path, "-o", os.path.join(work, "r.ist"), "--state=x=z", "--state=x=z")
    check(done.returncode == 1 and "has a state already" in done.stderr, "one state an input: " + done.stderr.strip())


def main():
    with tempfile.TemporaryDirectory() as work:
        for options in ((), ("-O0",), ("--test-refuse-plans=2",)):
            for test in (cache, recurrent, exchange, loops):
                test(work, options)
        growing(work)
        refused(work)
    return checks.failures != 0


sys.exit(main())
