"""Times single-thread f32 matmul beside ONNX Runtime, the right side a weight.

Each shape is a model of one MatMul, so that both pack the weight ahead. A time is
that of a call in a loop over the same memory, less what a call of 1x1x1 takes in
the same runtime at that time: the kernel's. Loops alternate, in changing order;
speeds are medians of the pairs' ratios, over 1 where Isthmus is quicker; "best"
compares the quickest loops; where the two disagree by a quarter something else
ran, and the shape is timed again, at most twice. Started by `bench.sh --matmul`.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
from onnx import helper, numpy_helper

import bench

os.environ["ISTHMUS_THREADS"] = "1"
LEAST = 100_000  # floating-point operations of a random shape


def shapes(count, seed):
    """(m, k, n): two cubes, and what is drawn, evenly in their logarithms."""
    random, found = np.random.default_rng(seed), [(512, 512, 512), (1024, 1024, 1024)]
    while len(found) < count + 2:
        m, k, n = (int(v) for v in np.exp2(random.uniform(0, 10, 3)).round())
        if 2 * m * k * n >= LEAST and (m, k, n) not in found:
            found.append((m, k, n))
    return found


def operands(m, k, n):
    random = np.random.default_rng([m, k, n])
    return random.standard_normal((m, k), np.float32), random.standard_normal((k, n), np.float32)


def make_models(work, all_shapes):
    for m, k, n in all_shapes:
        value = helper.make_tensor_value_info
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "matmul",
                                  [value("x", onnx.TensorProto.FLOAT, [m, k])],
                                  [value("y", onnx.TensorProto.FLOAT, [m, n])],
                                  [numpy_helper.from_array(operands(m, k, n)[1], "w")])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
                  f"{work}/{m}x{k}x{n}.onnx")


def compile_all(work, build, all_shapes):
    """Seconds; ends the program where a shape does not compile."""
    names = ["x".join(map(str, s)) for s in all_shapes]
    with open(f"{work}/batch.json", "w") as f:
        json.dump([{"model": f"{work}/{n}.onnx", "output": f"{work}/{n}.ist", "target": "cpu:native"} for n in names], f)
    begin = time.perf_counter()
    done = subprocess.run([os.path.join(build, "bin", "istc"), f"--batch={work}/batch.json"], capture_output=True, text=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) < len(names):
        sys.exit(f"error: istc ended after {len(answers)} of {len(names)} shapes: {done.stderr[-300:]}")
    for name, answer in zip(names, answers):
        if not answer["ok"]:
            sys.exit(f"error: {name}: {answer['error']}")
    return time.perf_counter() - begin


class Isthmus:
    def __init__(self, work, name, x):
        import isthmus

        self.call = isthmus.load(f"{work}/{name}.ist", device="cpu").main.bound(x=x)

    def result(self):
        return self.call.results()[0]


class OnnxRuntime:
    """Input and output are bound once, as ours are."""

    def __init__(self, work, name, x):
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(f"{work}/{name}.onnx", settings, providers=["CPUExecutionProvider"])
        m, n = x.shape[0], session.get_outputs()[0].shape[1]
        self.y = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros((m, n), np.float32))
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
        binding.bind_ortvalue_output("y", self.y)
        self.call = lambda: session.run_with_iobinding(binding)

    def result(self):
        return self.y.numpy()


def seconds(call, times):
    """Of the processor: both runtimes have one thread, and a busy machine takes that one away at times."""
    begin = time.process_time_ns()
    for _ in range(times):
        call()
    return (time.process_time_ns() - begin) * 1e-9 / times


def loops_of(calls, least):
    """How many calls of each take `least` seconds; warms up, too."""
    loops = []
    for call in calls:
        times = 1
        while (took := seconds(call, times) * times) < least:
            times = max(times + 1, min(10 * times, int(1.2 * times * least / max(took, 1e-9))))
        loops.append(times)
    return loops


def pairs_of(calls, count, least):
    """Seconds a call of each, `count` times."""
    loops, out = loops_of(calls, least), []
    for i in range(count):
        times = [0.0] * len(calls)
        for at in sorted(range(len(calls)), reverse=i % 2):
            times[at] = seconds(calls[at], loops[at])
        out.append(times)
    return out


def measure(work, shape, options, idle):
    m, k, n = shape
    x, w = operands(m, k, n)
    sides = [kind(work, f"{m}x{k}x{n}", x) for kind in (Isthmus, OnnxRuntime)]
    pairs = pairs_of([side.call for side in (*sides, *idle)], options.pairs, options.min_time)
    bound = 1e-6 * math.sqrt(k) * 10 + 1e-6 * k
    for side in sides:
        worst = np.abs(side.result() - x.astype(np.float64) @ w).max()
        if not worst <= bound:
            sys.exit(f"error: {m}x{k}x{n}: {type(side).__name__} differs by {worst:.2g} from f64")
    # A kernel too short to be told from its call is taken for a tenth of it.
    median, best = ([pick(p[i] for p in pairs) for i in range(4)] for pick in (statistics.median, min))
    ours, theirs = (max(median[i] - median[i + 2], median[i] / 10) for i in (0, 1))
    net = [[max(p[i] - median[i + 2], p[i] / 10) for i in (0, 1)] for p in pairs]
    quickest = [max(best[i] - best[i + 2], best[i] / 10) for i in (0, 1)]
    work = 2e-9 * m * k * n
    return {"shape": shape, "speed": statistics.median(b / a for a, b in net), "best": quickest[1] / quickest[0],
            "us": ours * 1e6, "onnxruntime_us": theirs * 1e6, "gflops": work / ours,
            "onnxruntime_gflops": work / theirs, "call_us": [t * 1e6 for t in median[2:]]}


def row(r):
    return ["x".join(map(str, r["shape"])), f"{r['us']:.1f}", f"{r['onnxruntime_us']:.1f}", f"{r['gflops']:.1f}",
            f"{r['onnxruntime_gflops']:.1f}", f"{r['speed']:.2f}", f"{r['best']:.2f}"]


def main():
    parser = argparse.ArgumentParser(prog="bench.sh --matmul", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write every shape's numbers there")
    parser.add_argument("--count", type=int, default=200, help="random shapes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=2026, help="of the shapes (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--min-time", type=float, default=0.002, metavar="S", help="seconds a loop of calls, at least")
    parser.add_argument("--build", default=os.path.join(bench.ROOT, "build"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["ISTHMUS_LIBRARY"] = os.path.join(options.build, "lib", "libisthmus.so")
    sys.path.insert(0, os.path.join(bench.ROOT, "python"))

    todo = shapes(options.count, options.seed)
    with tempfile.TemporaryDirectory(prefix="isthmus-matmul-") as work:
        make_models(work, [(1, 1, 1), *todo])
        took = compile_all(work, options.build, [(1, 1, 1), *todo])
        bench.tell(f"istc: {len(todo) + 1} shapes in {took:.1f} s, one after the other")
        x = operands(1, 1, 1)[0]
        idle = [kind(work, "1x1x1", x) for kind in (Isthmus, OnnxRuntime)]
        results = []
        for i, shape in enumerate(todo):
            for _ in range(3):
                result = measure(work, shape, options, idle)
                if 0.8 < result["speed"] / result["best"] < 1.25:
                    break
            results.append(result)
            bench.tell(f"{i + 1}/{len(todo)} " + " ".join(row(results[-1])))
    if options.json:
        with open(options.json, "w") as f:
            json.dump({"commit": bench.commit(), "machine": bench.machine(),
                       "compile_seconds": took, "results": results}, f, indent=1)
    head = ["m x k x n", "isthmus us", "onnxruntime us", "isthmus GFLOP/s", "onnxruntime GFLOP/s", "speed", "best"]
    drawn = sorted(results[2:], key=lambda r: r["speed"])
    print("\n".join(["### Cubes", "", *bench.table(head, map(row, results[:2]))]))
    if not drawn:
        return
    print("\n".join([f"### The slowest of {len(drawn)} random shapes", "", *bench.table(head, map(row, drawn[:10]))]))
    mean = math.exp(statistics.fmean(math.log(r["speed"]) for r in drawn))
    below = sum(r["speed"] < 0.6 for r in drawn)
    print(f"geomean speed vs onnxruntime: {mean:.2f} ({len(drawn)} shapes; slowest {drawn[0]['speed']:.2f}, {below} below 0.6)")


if __name__ == "__main__":
    main()
