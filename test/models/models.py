"""Compiles real models and checks their outputs against ONNX Runtime's.

An output is right when |d| <= 1e-3 |reference| + 1e-5 max |reference|, or when
its largest error against the model in f64 is at most twice ONNX Runtime's own; in
f16, where ONNX Runtime does not round between operations on CPUs as the model says
and we do, when |d| <= 1e-2 max |reference|. Where a model computes in bytes, a last
digit decides about a whole step, and later ones: there the distance (rms) from the
model that it was made of, in f32, may be 1.2 times ONNX Runtime's own.
Started by models.sh; the last line is `N passed, M failed`.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

import zoo

sys.path.insert(0, os.path.join(zoo.ROOT, "scripts"))
import devices  # noqa: E402

REAL = {TensorProto.FLOAT: TensorProto.DOUBLE}


def in_f64(path):
    """The model with doubles where it has floats, weights inside."""
    model = onnx.load(path)

    def tensor(t):
        if t.data_type in REAL:
            t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float64), t.name))

    def visit(graph):
        for t in graph.initializer:
            tensor(t)
        for value in [*graph.input, *graph.output]:
            kind = value.type.tensor_type
            kind.elem_type = REAL.get(kind.elem_type, kind.elem_type)
        del graph.value_info[:]
        for node in graph.node:
            for a in node.attribute:
                if a.type == onnx.AttributeProto.TENSOR:
                    tensor(a.t)
                elif a.type == onnx.AttributeProto.GRAPH:
                    visit(a.g)
                elif node.op_type == "Cast" and a.name == "to":
                    a.i = REAL.get(a.i, a.i)

    visit(model.graph)
    return model


def run_f64(path, feeds):
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class GlobalMaxPool(OpRun):  # onnx's takes the wrong axes of a rank 3 tensor
        def _run(self, x):
            return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)

    wide = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in feeds.items()}
    with np.errstate(all="ignore"):
        return ReferenceEvaluator(in_f64(path), new_ops=[GlobalMaxPool]).run(None, wide)


def excess(got, reference):
    """How far `got` is beyond what is allowed, relative to it: fine up to 1."""
    if reference.dtype.kind != "f":
        return float(np.any(got != reference)) * 2
    g, r = got.astype(np.float64), reference.astype(np.float64)
    same = (g == r) | (np.isnan(g) & np.isnan(r))
    finite = np.abs(r[np.isfinite(r)])
    largest = finite.max() if finite.size else 0
    allowed = 1e-2 * largest if reference.dtype == np.float16 else 1e-3 * np.abs(r) + 1e-5 * largest
    with np.errstate(all="ignore"):
        ratio = np.where(same, 0, np.abs(g - r) / allowed)
    ratio = np.where(np.isnan(ratio), np.inf, ratio)
    return float(ratio.max(initial=0))


def session_of(path):
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def difference(got, reference):
    return float(np.abs(got.astype(np.float64) - reference.astype(np.float64)).max(initial=0))


def tool(command, timeout):
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout)
    except subprocess.TimeoutExpired:
        return None, f"no answer in {timeout:.0f} s"
    if done.returncode == 0:
        return done, None
    lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
    more = f" (and {len(lines) - 1} more lines)" if len(lines) > 1 else ""
    return None, lines[0][:240] + more


def distances(ours, theirs, exact):
    """How far two answers are from the exact one, of its length."""
    return [float(np.sqrt(np.mean((x - exact.astype(np.float64)) ** 2) / np.mean(exact.astype(np.float64) ** 2)))
            for x in (ours, theirs)]


class Case:
    """One model: a line of the table for each of its inputs."""

    def __init__(self, model, options, work):
        self.model, self.options, self.work = model, options, work
        self.rows = []

    def row(self, label, seconds, worst, why, note=""):
        self.rows.append((why is None, self.model.name, label))
        mark = "ok" if why is None else "FAIL"
        print(f"{mark:<4}  {self.model.name:<20} {label:<14} {seconds:>7}  {worst:>9}  {why or note}", flush=True)

    def run(self):
        model, options = self.model, self.options
        try:
            path = model.ready(options.work)
        except Exception as e:
            return self.row("-", "", "", f"not made: {type(e).__name__}: {e}")
        artifact = os.path.join(self.work, model.name + ".ist")
        begin = time.time()
        _, why = tool([os.path.join(options.build, "bin", "istc"), path, "-o", artifact, f"--target={options.target}",
                       *(f"--shape={k}:{a}..{b}" for k, (a, b) in model.shapes.items()),
                       *([f"-j{options.jobs}"] if options.jobs else [])], options.timeout)
        self.seconds = time.time() - begin
        if why:
            return self.row("-", f"{self.seconds:.1f} s", "", f"istc: {why}")
        session = session_of(path)
        self.original = session_of(model.of.ready(options.work)) if model.precision == "int8" else None
        answers, seconds = {}, f"{self.seconds:.1f} s"
        for label, feeds in model.feeds(path).items():
            ours = self.call(path, artifact, session, label, feeds, seconds)
            seconds = ""
            if ours:
                answers[label] = ours
        why = model.check(answers) if model.check and answers else None
        if why:
            self.row("meaning", "", "", why)

    def call(self, path, artifact, session, label, feeds, seconds):
        reference = session.run(None, feeds)
        names = [o.name for o in session.get_outputs()]
        command = [os.path.join(self.options.build, "bin", "ist-run"), artifact]
        for i, (name, array) in enumerate(feeds.items()):
            file = os.path.join(self.work, f"in{i}.npy")
            np.save(file, array)
            command.append(f"--input={name}=@{file}")
        files = [os.path.join(self.work, f"out{i}.npy") for i in range(len(names))]
        command += [f"--output={name}=@{file}" for name, file in zip(names, files)]
        _, why = tool(command, self.options.timeout)
        if why:
            return self.row(label, seconds, "", f"ist-run: {why}")
        ours = {name: np.load(file) for name, file in zip(names, files)}

        theirs = dict(zip(names, reference))
        for n in names:
            a, b = ours[n], theirs[n]
            if a.shape != b.shape or a.dtype != b.dtype:
                return self.row(label, seconds, "", f"{n}: {a.dtype}{list(a.shape)}, expected {b.dtype}{list(b.shape)}")
        worst = max(difference(ours[n], theirs[n]) for n in names)
        if self.original:
            far = {n: distances(ours[n], theirs[n], x) for n, x in zip(names, self.original.run(names, feeds))}
            notes = "; ".join(f"{n} against f32: {a:.2g}, ONNX Runtime {b:.2g}" for n, (a, b) in far.items())
            bad = any(not a <= 1.2 * b + 1e-5 for a, b in far.values())
            self.row(label, seconds, f"{worst:.2g}", notes if bad else None, notes)
            return ours
        beyond = {n: excess(ours[n], theirs[n]) for n in names}
        bad, notes = [n for n in names if beyond[n] > 1], []
        narrow = all(theirs[n].dtype == np.float16 for n in bad)
        exact = dict(zip(names, run_f64(path, feeds))) if bad and not narrow else {}
        for n in [n for n in bad if n in exact]:
            a, b = difference(ours[n], exact[n]), difference(theirs[n], exact[n])
            notes.append(f"{n} against f64: {a:.2g}, ONNX Runtime {b:.2g}")
            if a <= 2 * b:
                bad.remove(n)
        why = f"{', '.join(bad)}: {beyond[bad[0]]:.3g} times what is allowed" if bad else None
        note = "; ".join(notes)
        self.row(label, seconds, f"{worst:.2g}", f"{why}; {note}" if why else None, note)
        return ours


def main():
    parser = argparse.ArgumentParser(prog="models.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="cpu:native", help="what to compile for (default: %(default)s)")
    parser.add_argument("--device", help="where to run, such as sim:sm_80 (default: ist-run's)")
    parser.add_argument("--filter", metavar="REGEX", default="", help="only models whose name holds a match")
    parser.add_argument("--timeout", type=float, default=600, metavar="S", help="seconds a tool may take")
    parser.add_argument("--list", action="store_true", help="show the models and end")
    parser.add_argument("-j", "--jobs", type=int, default=0, help="threads of istc")
    parser.add_argument("--build", default=os.path.join(zoo.ROOT, "build"), help=argparse.SUPPRESS)
    parser.add_argument("--work", metavar="DIR", help="where models are made (default: models/ in the build folder)")
    options = parser.parse_args()
    devices.choose(options.device, options.build)
    options.work = options.work or os.path.join(options.build, "models")
    models = [m for m in zoo.MODELS if re.search(options.filter, m.name)]
    if options.list:
        return print("\n".join(m.name for m in models))
    print(f"{'':<4}  {'model':<20} {'input':<14} {'compile':>7}  {'largest d':>9}", flush=True)
    rows = []
    for model in models:
        with tempfile.TemporaryDirectory(prefix="isthmus-models-") as work:
            case = Case(model, options, work)
            try:
                case.run()
            except Exception as e:
                case.row("-", "", "", f"{type(e).__name__}: {e}")
        rows += case.rows
    failed = sum(not ok for ok, _, _ in rows)
    print(f"{len(rows) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not rows else 0)


if __name__ == "__main__":
    main()
