#!/usr/bin/env python3
"""Random ONNX graphs, compiled and run by us, checked against ONNX Runtime.

Graph i of seed s is always the same. How graphs are made so that rounding alone
never makes a mismatch: graph_maker.py. Prints every bad graph with the command
that makes it again, and ends with `N graphs: A compile failures, B mismatches`.

    test/conformance/random_graphs.py --count 2000 --seed 1
    test/conformance/random_graphs.py --only 17 --seed 1 --keep /tmp/g
    test/conformance/random_graphs.py --compile-only --target nvidia:sm_80 --target intel:spirv64 --assemble 20
"""

import argparse
import collections
import os
import shutil
import sys
import tempfile

import numpy as np
import onnx

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import assembled  # noqa: E402
import batch  # noqa: E402
from graph_maker import Declined, Graph, evaluate, in_double, tolerance  # noqa: E402
from graph_steps import STEPS, WEIGHTS  # noqa: E402


# A node's operator and one that is wrong in its place.
WRONG = {"Floor": "Ceil", "Ceil": "Floor", "Round": "Floor", "Sign": "Neg", "Add": "Sub", "Sub": "Add", "Mul": "Add",
         "Div": "Mul", "Max": "Min", "Min": "Max", "Less": "GreaterOrEqual", "Greater": "Less", "LessOrEqual": "Less",
         "And": "Or", "Or": "Xor", "Xor": "And", "Sin": "Cos", "Cos": "Sin", "Relu": "Abs", "Abs": "Neg",
         "Tanh": "Sigmoid", "Erf": "Tanh", "Sqrt": "Log", "ReduceMax": "ReduceMin", "ReduceMin": "ReduceMax",
         "ReduceMean": "ReduceMax", "ArgMax": "ArgMin", "ArgMin": "ArgMax", "Softmax": "LogSoftmax",
         "Sigmoid": "HardSigmoid", "GlobalMaxPool": "GlobalAveragePool", "Softsign": "Tanh"}


class Case:
    """Graph `number` of `seed`: a model, its inputs and what it gives."""

    def __init__(self, seed, number):
        self.number, self.attempt = number, 0
        while True:  # few seeds end with no node at all
            graph = Graph(seed, number, self.attempt)
            self.attempt += 1
            if graph.grow(graph.rng.randint(2, 12), STEPS, WEIGHTS):
                break
        outputs = graph.outputs()
        read = {n for node in graph.nodes for n in node.input}
        graph.inputs = [v for v in graph.inputs if v.name in read]
        graph.weights = [w for w in graph.weights if w.name in read]
        self.model = graph.model([(v.name, v) for v in outputs])
        onnx.checker.check_model(self.model, full_check=True)
        self.half, self.rng = graph.half, graph.rng
        self.feeds = {v.name: v.array for v in graph.inputs}
        self.want = graph.reference(self.model)

    def spoil(self):
        """Makes one node wrong; whether that shows in the outputs."""
        nodes = [n for n in self.model.graph.node if n.op_type in WRONG]
        self.rng.shuffle(nodes)
        for node in nodes:
            right = node.op_type
            node.op_type = WRONG[right]
            try:
                if compare(evaluate(self.model, self.feeds), self):
                    return True
            except Declined:
                pass
            node.op_type = right
        return False

    def save(self, base):
        self.base = base
        onnx.save(self.model, base + ".onnx")
        self.inputs = [f"{base}.i{k}.npy" for k in range(len(self.feeds))]
        for name, array in zip(self.inputs, self.feeds.values()):
            np.save(name, array)
        for k, array in enumerate(self.want):
            np.save(f"{base}.want{k}.npy", array)
        self.outputs = [f"{base}.o{k}.npy" for k in range(len(self.want))]


def compare(got, case):
    """What is wrong with the outputs, or None. Floats may be as far off as
    graph_maker.tolerance says, or twice as far from an f64 run as ONNX Runtime."""
    double = None
    for i, (a, b) in enumerate(zip(got, case.want)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"output {i}: {a.dtype}{list(a.shape)}, expected {b.dtype}{list(b.shape)}"
        bad = a != b
        if b.dtype.kind == "f":
            with np.errstate(all="ignore"):
                bad &= ~(np.abs(a.astype(np.float64) - b) <= tolerance(b, case.half)) & ~(np.isnan(a) & np.isnan(b))
            if np.any(bad):
                double = double or in_double(case.model, case.feeds)
                if double and double[i].shape == b.shape:
                    error = [np.abs(x.astype(np.float64) - double[i]).max() for x in (a, b)]
                    if error[0] <= 2 * error[1]:
                        continue
        if np.any(bad):
            at = tuple(int(k) for k in np.argwhere(bad)[0]) if b.ndim else ()
            return f"output {i}: {int(np.sum(bad))} of {b.size} differ, first at {list(at)}: {a[at]}, expected {b[at]}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="I", help="graph I alone")
    parser.add_argument("--first", type=int, default=0, metavar="I", help="begin with graph I")
    parser.add_argument("--target", action="append", help="repeatable with --compile-only; default: cpu:native")
    parser.add_argument("--compile-only", action="store_true", help="compile all graphs, for all targets at once, and run none")
    parser.add_argument("--assemble", type=int, default=0, metavar="N", help="with --compile-only, check the GPUs' code of "
                        "every N-th graph (assembled.py)")
    parser.add_argument("--keep", metavar="DIR", help="keep models and arrays there")
    parser.add_argument("--make-only", action="store_true", help="make and check the graphs, compile nothing")
    parser.add_argument("--spoil", action="store_true", help="compile each graph with one wrong operator: every one must "
                        "be a mismatch. Tests this test")
    parser.add_argument("--show", type=int, default=20, help="how many bad graphs to print")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    options = parser.parse_args()

    targets = options.target or ["cpu:native"]
    if len(targets) > 1 and not options.compile_only:
        parser.error("several targets need --compile-only")
    numbers = [options.only] if options.only is not None else range(options.first, options.first + options.count)
    work = options.keep or tempfile.mkdtemp(prefix="isthmus-random-")
    os.makedirs(work, exist_ok=True)
    progress = batch.Progress("make")
    cases, ops = [], collections.Counter()
    for done, i in enumerate(numbers):
        case = Case(options.seed, i)
        progress(done + 1, len(numbers))
        if options.spoil and not case.spoil():
            continue
        ops.update({n.op_type for n in case.model.graph.node})
        case.save(os.path.join(work, f"g{i}"))
        cases.append(case)
    print(f"{len(cases)} graphs over {len(ops)} operators: {', '.join(f'{o} {n}' for o, n in sorted(ops.items()))}")
    if options.make_only:
        return 0

    results = batch.compile_all(options.build, [{"model": c.base + ".onnx", "output": c.base + ".ist", "target": targets}
                                                for c in cases], jobs=options.jobs, progress=batch.Progress("compile"))
    compiled, bad, total = [], [], len(cases)
    for case, result in zip(cases, results):
        if result["ok"]:
            compiled.append(case)
        else:
            bad.append((case, "compile", f"{result.get('code', '')} {result.get('error', '')}"))
    failures = len(bad)
    if options.compile_only:
        checked = compiled[:: options.assemble] if options.assemble else []
        progress = batch.Progress("check")
        for done, case in enumerate(checked, 1):
            why, variants = assembled.check(case.base + ".ist", options.build)
            gpus = sum(not t.startswith("cpu:") for t in targets)
            if why or variants != gpus:
                bad.append((case, "check", why or f"{variants} of {gpus} variants for GPUs"))
            progress(done, len(checked))
        compiled = []
    called = batch.call_all(options.build, [{"artifact": c.base + ".ist", "inputs": c.inputs, "outputs": c.outputs}
                                            for c in compiled], jobs=options.jobs, progress=batch.Progress("run")) if compiled else []
    for case, result in zip(compiled, called):
        if not result["ok"]:
            bad.append((case, "run", f"{result.get('code', '')} {result.get('error', '')}"))
        elif why := compare([np.load(o) for o in case.outputs], case):
            bad.append((case, "mismatch", why))
    if not options.keep:
        shutil.rmtree(work, ignore_errors=True)
    if options.compile_only:
        again = "".join(f" --target {t}" for t in targets)
        for case, stage, why in bad[: options.show]:
            print(f"graph {case.number}: {stage}: {why.strip()}\n  again: {os.path.relpath(__file__)} --seed {options.seed} "
                  f"--only {case.number} --compile-only{again}")
        print("\n".join(assembled.notes()), end="")
        print(f"{total} graphs for {', '.join(targets)}: {failures} compile failures; {len(checked)} checked, "
              f"{len(bad) - failures} bad")
        return 1 if bad or not total else 0
    if options.spoil:
        missed = {c.number for c in compiled} - {c.number for c, stage, _ in bad if stage == "mismatch"}
        if missed:
            print(f"wrong, and not seen: {sorted(missed)}")
        print(f"{len(compiled) - len(missed)} good, {len(missed)} bad")
        return 1 if missed or not compiled else 0
    for case, stage, why in bad[: options.show]:
        print(f"graph {case.number}: {stage}: {why.strip()}\n  again: {os.path.relpath(__file__)} --seed {options.seed} "
              f"--only {case.number} --keep DIR")
    if len(bad) > options.show:
        print(f"... and {len(bad) - options.show} more")
    print(f"{total - len(bad)} good, {len(bad)} bad")
    print(f"{total} graphs: {failures} compile failures, {len(bad) - failures} mismatches")
    return 1 if bad or not total else 0


if __name__ == "__main__":
    sys.exit(main())
