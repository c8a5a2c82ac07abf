"""Times single-thread matmul beside libraries, the right side a weight: of f32, or
with --type=int8 of unsigned bytes less a zero point by signed ones (MatMulInteger),
beside ONNX Runtime only.

Each shape is a model of one MatMul, so that Isthmus and ONNX Runtime pack the weight
ahead; oneDNN is asked for the weight's layout and gets it so; OpenBLAS has no call
for that and packs each time. A time is that of a call in a loop over the same memory,
less what a call of 1x1x1 takes in the same library at that time: the kernel's. Loops
take turns, in changing order; speeds are medians of the rounds' ratios, over 1 where
Isthmus is quicker; "best" compares the quickest loops with the quickest peer's; where
the two disagree by a quarter something else ran, and the shape is timed again, at most
twice. Started by `bench.sh --matmul`.
"""

import argparse
import ctypes
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

for variable in ("ISTHMUS_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"
LEAST = 100_000  # operations of a random shape
FIRST = {"f32": [(512, 512, 512), (1024, 1024, 1024)], "int8": [(512, 512, 512), (1024, 1024, 1024), (1, 512, 512)]}
ZERO = 128  # of bytes
number = "f32"  # --type


def shapes(count, seed):
    """(m, k, n): those of every run, and what is drawn, evenly in their logarithms."""
    random, found = np.random.default_rng(seed), list(FIRST[number])
    while len(found) < count + len(FIRST[number]):
        m, k, n = (int(v) for v in np.exp2(random.uniform(0, 10, 3)).round())
        if 2 * m * k * n >= LEAST and (m, k, n) not in found:
            found.append((m, k, n))
    return found


def operands(m, k, n):
    random = np.random.default_rng([m, k, n])
    if number == "int8":
        return random.integers(0, 256, (m, k), np.uint8), random.integers(-127, 128, (k, n), np.int8)
    return random.standard_normal((m, k), np.float32), random.standard_normal((k, n), np.float32)


def make_models(work, all_shapes):
    for m, k, n in all_shapes:
        value = helper.make_tensor_value_info
        weights = [numpy_helper.from_array(operands(m, k, n)[1], "w")]
        node, types = helper.make_node("MatMul", ["x", "w"], ["y"]), [onnx.TensorProto.FLOAT] * 2
        if number == "int8":
            node = helper.make_node("MatMulInteger", ["x", "w", "zero"], ["y"])
            types = [onnx.TensorProto.UINT8, onnx.TensorProto.INT32]
            weights.append(numpy_helper.from_array(np.uint8(ZERO), "zero"))
        graph = helper.make_graph([node], "matmul", [value("x", types[0], [m, k])], [value("y", types[1], [m, n])], weights)
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
        self.y = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros((m, n), np.float32 if number == "f32" else np.int32))
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
        binding.bind_ortvalue_output("y", self.y)
        self.call = lambda: session.run_with_iobinding(binding)

    def result(self):
        return self.y.numpy()


class OneDnn:
    """oneDNN 3 by its C interface (dnnl.h); memory is bound once."""

    F32, ANY, AB = 3, 1, 3  # dnnl_f32, dnnl_format_tag_any, dnnl_ab
    SOURCE, WEIGHTS, TARGET = 1, 33, 17  # DNNL_ARG_SRC, _WEIGHTS, _DST
    FROM, TO = 1, 17
    library = None

    class Argument(ctypes.Structure):
        _fields_ = [("arg", ctypes.c_int), ("memory", ctypes.c_void_p)]

    @classmethod
    def ask(cls, name, *arguments):
        status = getattr(cls.library, "dnnl_" + name)(*arguments)
        if status:
            sys.exit(f"error: oneDNN: {name}: status {status}")

    @classmethod
    def make(cls, name, *arguments):
        made = ctypes.c_void_p()
        cls.ask(name, ctypes.byref(made), *arguments)
        return made

    @classmethod
    def open(cls):
        if not cls.library:
            cls.library = ctypes.CDLL(os.path.join(sys.prefix, "lib", "libdnnl.so.3"))
            cls.library.dnnl_primitive_desc_query_md.restype = ctypes.c_void_p
            cls.engine = cls.make("engine_create", 1, ctypes.c_size_t(0))  # dnnl_cpu
            cls.stream = cls.make("stream_create", cls.engine, 1)  # in order

    def layout(self, shape, tag):
        return self.make("memory_desc_create_with_tag", 2, (ctypes.c_int64 * 2)(*shape), self.F32, tag)

    def memory(self, layout, data):
        return self.make("memory_create", layout, self.engine, ctypes.c_void_p(data))

    def arguments(self, pairs):
        return len(pairs), (self.Argument * len(pairs))(*((which, memory.value) for which, memory in pairs))

    def __init__(self, work, name, x):
        self.open()
        m, k, n = (int(v) for v in name.split("x"))
        self.x, plain, self.y = x, operands(m, k, n)[1], np.zeros((m, n), np.float32)
        source, target = self.layout((m, k), self.AB), self.layout((m, n), self.AB)
        what = self.make("matmul_primitive_desc_create", self.engine, source, self.layout((k, n), self.ANY), None, target,
                         None)
        weights = ctypes.c_void_p(self.library.dnnl_primitive_desc_query_md(what, 131, 0))  # dnnl_query_weights_md
        packed = self.memory(weights, 2**64 - 1)  # DNNL_MEMORY_ALLOCATE
        given = self.layout((k, n), self.AB)
        reorder = self.make("primitive_create", self.make("reorder_primitive_desc_create", given, self.engine, weights,
                                                          self.engine, None))
        count, arguments = self.arguments([(self.FROM, self.memory(given, plain.ctypes.data)), (self.TO, packed)])
        self.ask("primitive_execute", reorder, self.stream, count, arguments)
        self.ask("stream_wait", self.stream)
        primitive = self.make("primitive_create", what)
        count, self.bound = self.arguments([(self.SOURCE, self.memory(source, x.ctypes.data)), (self.WEIGHTS, packed),
                                            (self.TARGET, self.memory(target, self.y.ctypes.data))])
        execute, stream, bound = self.library.dnnl_primitive_execute, self.stream, self.bound
        self.call = lambda: execute(primitive, stream, count, bound)

    def result(self):
        return self.y


class OpenBlas:
    def __init__(self, work, name, x):
        import scipy_openblas32

        library = ctypes.CDLL(os.path.join(scipy_openblas32.get_lib_dir(), "libscipy_openblas.so"))
        m, k, n = (int(v) for v in name.split("x"))
        self.x, self.w, self.y = x, operands(m, k, n)[1], np.zeros((m, n), np.float32)
        sgemm, one, zero = library.scipy_cblas_sgemm, ctypes.c_float(1), ctypes.c_float(0)
        a, b, c = (ctypes.c_void_p(v.ctypes.data) for v in (self.x, self.w, self.y))
        rows, plain = 101, 111  # CblasRowMajor, CblasNoTrans
        self.call = lambda: sgemm(rows, plain, plain, m, n, k, one, a, k, b, n, zero, c, n)

    def result(self):
        return self.y


PEERS = {"onnxruntime": OnnxRuntime, "onednn": OneDnn, "openblas": OpenBlas}


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


def rounds_of(calls, count, least):
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
    names = [bench.US, *options.peers]
    sides = [kind(work, f"{m}x{k}x{n}", x) for kind in (Isthmus, *(PEERS[p] for p in options.peers))]
    rounds = rounds_of([side.call for side in (*sides, *idle)], options.rounds, options.min_time)
    bound = 1e-6 * math.sqrt(k) * 10 + 1e-6 * k if number == "f32" else 0
    for side in sides:
        worst = np.abs(side.result() - (x.astype(np.float64) - ZERO * (number == "int8")) @ w).max()
        if not worst <= bound:
            sys.exit(f"error: {m}x{k}x{n}: {type(side).__name__} differs by {worst:.2g} from f64")
    # A kernel too short to be told from its call is taken for a tenth of it.
    median, least = ([pick(r[i] for r in rounds) for i in range(2 * len(sides))] for pick in (statistics.median, min))
    every = range(len(sides))
    us = [max(median[i] - median[i + len(sides)], median[i] / 10) * 1e6 for i in every]
    net = [[max(r[i] - median[i + len(sides)], r[i] / 10) for i in every] for r in rounds]
    quickest = [max(least[i] - least[i + len(sides)], least[i] / 10) for i in every]
    return {"shape": shape, "us": dict(zip(names, us)),
            "speed": {name: statistics.median(r[i + 1] / r[0] for r in net) for i, name in enumerate(options.peers)},
            "best": min(quickest[1:]) / quickest[0], "gflops": 2e-3 * m * k * n / us[0],
            "call_us": [t * 1e6 for t in median[len(sides):]]}


def slowest(r):
    return min(r["speed"].values())


def row(r):
    return ["x".join(map(str, r["shape"])), f"{r['gflops']:.1f}", *(f"{us:.1f}" for us in r["us"].values()),
            *(f"{v:.2f}" for v in r["speed"].values()), f"{r['best']:.2f}"]


def main():
    parser = argparse.ArgumentParser(prog="bench.sh --matmul", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write every shape's numbers there")
    parser.add_argument("--type", choices=FIRST, default="f32", help="default: %(default)s")
    parser.add_argument("--count", type=int, default=200, help="random shapes (default: %(default)s)")
    parser.add_argument("--shape", metavar="MxKxN", action="append", default=[], help="these instead; may be repeated")
    parser.add_argument("--seed", type=int, default=2026, help="of the shapes (default: %(default)s)")
    parser.add_argument("--peers", help=f"default: {','.join(PEERS)}, with int8 onnxruntime")
    parser.add_argument("--rounds", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--min-time", type=float, default=0.002, metavar="S", help="seconds a loop of calls, at least")
    parser.add_argument("--build", default=os.path.join(bench.ROOT, "build"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    global number
    number = options.type
    known = list(PEERS) if number == "f32" else ["onnxruntime"]
    options.peers = options.peers.split(",") if options.peers else known
    unknown = [p for p in options.peers if p not in known]
    if unknown:
        sys.exit(f"error: no peer {unknown[0]}; there are {', '.join(known)}")
    os.environ["ISTHMUS_LIBRARY"] = os.path.join(options.build, "lib", "libisthmus.so")
    sys.path.insert(0, os.path.join(bench.ROOT, "python"))

    todo = [tuple(map(int, s.split("x"))) for s in options.shape] or shapes(options.count, options.seed)
    with tempfile.TemporaryDirectory(prefix="isthmus-matmul-") as work:
        make_models(work, [(1, 1, 1), *todo])
        took = compile_all(work, options.build, [(1, 1, 1), *todo])
        bench.tell(f"istc: {len(todo) + 1} shapes in {took:.1f} s, one after the other")
        x = operands(1, 1, 1)[0]
        idle = [kind(work, "1x1x1", x) for kind in (Isthmus, *(PEERS[p] for p in options.peers))]
        results = []
        for i, shape in enumerate(todo):
            for _ in range(3):
                result = measure(work, shape, options, idle)
                if 0.8 < slowest(result) / result["best"] < 1.25:
                    break
            results.append(result)
            bench.tell(f"{i + 1}/{len(todo)} " + " ".join(row(results[-1])))
    if options.json:
        with open(options.json, "w") as f:
            json.dump({"commit": bench.commit(), "machine": bench.machine(), "type": number, "peers": options.peers,
                       "compile_seconds": took, "results": results}, f, indent=1)
    head = ["m x k x n", "GFLOP/s" if number == "f32" else "GOP/s", *(f"{name} us" for name in (bench.US, *options.peers)),
            *(f"vs {name}" for name in options.peers), "best"]
    given = results if options.shape else results[:len(FIRST[number])]
    drawn = sorted(results[len(given):], key=slowest)
    print("\n".join(["### Given" if options.shape else "### Of every run", "", *bench.table(head, map(row, given))]))
    if not drawn:
        return
    print("\n".join([f"### The slowest of {len(drawn)} random shapes", "", *bench.table(head, map(row, drawn[:10]))]))
    for name in options.peers:
        speeds = [r["speed"][name] for r in drawn]
        mean = math.exp(statistics.fmean(map(math.log, speeds)))
        print(f"geomean speed vs {name}: {mean:.2f} ({len(drawn)} shapes; slowest {min(speeds):.2f}, "
              f"{sum(v < 0.6 for v in speeds)} below 0.6)")


if __name__ == "__main__":
    main()
