"""Runs the ONNX backend tests on a target and compares with their outputs.

Every test of the pinned onnx package is compiled by istc and called by ist-run.
What is known to fail is in test/conformance/expected-failures.txt with its
reason; a test there that passes fails the run, like one that fails and is not
there. Started by conformance.sh.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time

import ml_dtypes
import numpy as np
import onnx
from onnx import numpy_helper

import assembled
import batch
import devices

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
KINDS = ["node", "simple", "real", "pytorch-converted", "pytorch-operator"]
PINNED = "1.22.0"

Case = collections.namedtuple("Case", "name model data rtol atol")


def find_cases():
    cases = []
    for kind in KINDS:
        for name in sorted(os.listdir(os.path.join(DATA, kind))):
            folder = os.path.join(DATA, kind, name)
            if not os.path.isdir(folder):
                continue
            model, data, facts = os.path.join(folder, "model.onnx"), folder, {}
            if os.path.exists(os.path.join(folder, "data.json")):
                with open(os.path.join(folder, "data.json")) as f:
                    facts = json.load(f)
            if not os.path.exists(model):
                # `light` topologies: "onnx/backend/test/data/light/light_x.onnx"
                model = data = os.path.join(DATA, "light", os.path.basename(facts["url"]))
            cases.append(Case(name, model, data, facts.get("rtol", 1e-3), facts.get("atol", 1e-7)))
    return cases


def load_proto(path, type_proto):
    """An array, or None for what is no tensor of numbers."""
    if not type_proto.HasField("tensor_type"):
        return None
    tensor = onnx.TensorProto()
    with open(path, "rb") as f:
        tensor.ParseFromString(f.read())
    array = numpy_helper.to_array(tensor)
    return None if array.dtype == object or array.dtype.kind in "US" else array


def data_sets(case, model):
    """[(inputs, outputs)]"""
    if os.path.isfile(case.data):
        held = {i.name for i in model.graph.initializer}
        inputs = []
        for i in model.graph.input:
            if i.name not in held:
                inputs.append(light_input(i))
        prefix = os.path.splitext(case.data)[0]
        return [(inputs, [load_proto(f"{prefix}_output_{n}.pb", o.type) for n, o in enumerate(model.graph.output)])]
    sets = []
    for folder in sorted(os.listdir(case.data)):
        if not folder.startswith("test_data_set"):
            continue
        folder = os.path.join(case.data, folder)

        def load(kind, values):
            count = sum(f.startswith(kind + "_") and f.endswith(".pb") for f in os.listdir(folder))
            return [load_proto(os.path.join(folder, f"{kind}_{i}.pb"), values[i].type) for i in range(count)]

        sets.append((load("input", model.graph.input), load("output", model.graph.output)))
    return sets


def light_input(value):
    """onnx's runner feeds the light models 1 / position, see generate_dummy_data."""
    from onnx.backend.test.runner import Runner

    return Runner.generate_dummy_data(value, seed=0, name=value.name, random=False)


def save(path, array):
    """As .npy; types that numpy lacks are stored as unsigned integers of the same bits."""
    np.save(path, array if array.dtype.isbuiltin == 1 else array.view(f"u{array.dtype.itemsize}"))


def load(path, dtype):
    array = np.load(path)
    if array.dtype.kind in "Vu" and dtype.isbuiltin != 1 and array.dtype.itemsize == dtype.itemsize:
        array = array.view(dtype)
    return array


def difference(got, want, rtol, atol):
    """None, or why the two are not alike: numpy's assert_allclose, in words."""
    if got.shape != want.shape:
        return f"shape {list(got.shape)}, expected {list(want.shape)}"
    if got.dtype != want.dtype:
        return f"type {got.dtype}, expected {want.dtype}"
    if want.dtype.kind in "biu":
        a, b = got.astype(object), want.astype(object)
        bad = np.asarray(a != b, dtype=bool)
        if rtol and want.dtype.kind in "iu":  # as assert_allclose: quantized outputs may round differently
            f, g = got.astype(np.float64), want.astype(np.float64)
            bad &= ~(np.abs(f - g) <= atol + rtol * np.abs(g))
    else:
        wide = np.complex128 if want.dtype.kind == "c" else np.float64
        a, b = got.astype(wide), want.astype(wide)
        with np.errstate(all="ignore"):
            near = np.isfinite(b) & (np.abs(a - b) <= atol + rtol * np.abs(b))  # near infinity lies everything
            bad = ~(near | (a == b) | (np.isnan(a) & np.isnan(b)))
    if not bad.any():
        return None
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{int(bad.sum())} of {bad.size} elements differ, first at {list(at)}: {got[at]}, expected {want[at]}"


def brief(result):
    """A failure on one line, its code first."""
    text = " ".join(result["error"].split())
    if not text.startswith(result["code"]):
        text = f"{result['code']}: {text}"
    # Which node it was and what to do about it matter to people with a model.
    return re.sub(r"node '[^']*' ", "", text.split(";")[0])[:200]


def read_expected(path):
    """[(pattern, reason)]; a line is REGEX<TAB>reason and must match the whole name."""
    rules = []
    if os.path.exists(path):
        with open(path) as f:
            for number, line in enumerate(f, 1):
                line = line.rstrip("\n")
                if not line or line.startswith("#"):
                    continue
                pattern, tab, reason = line.partition("\t")
                if not tab or not reason.strip():
                    sys.exit(f"{path}:{number}: needs REGEX<TAB>reason")
                rules.append((re.compile(pattern), reason))
    return rules


def write_expected(path, rules, results):
    """Keeps the rules that match failures only, adds a line per other failure."""
    failed = {n for n, r in results.items() if r["status"] == "fail"}
    kept, covered = [], set()
    for pattern, reason in rules:
        names = {n for n in results if pattern.fullmatch(n)}
        # What was not run now is not judged: its rule stays.
        if (names and names <= failed) or not names:
            kept.append((pattern.pattern, reason))
            covered |= names
    for name in sorted(failed - covered):
        r = results[name]
        kept.append((re.escape(name).replace(r"\-", "-"), f"{r['stage']}: {brief(r)}"))
    with open(path, "w") as f:
        f.write("# ONNX backend tests that fail today: REGEX<TAB>reason, matched against the whole name.\n"
                "# `./scripts/conformance.sh --update` keeps what holds and adds what is new.\n")
        for pattern, reason in kept:
            f.write(f"{pattern}\t{reason}\n")


def run(cases, options, work):
    """{name: {"status", "stage", "code", "error"}}"""
    results = {}

    def fail(case, stage, code, error):
        results[case.name] = {"status": "fail", "stage": stage, "code": code, "error": error}

    def artifact(case):
        return os.path.join(work, case.name + ".ist")

    compiled = batch.compile_all(
        options.build,
        [{"model": c.model, "output": artifact(c), "target": options.target} for c in cases],
        jobs=options.jobs, timeout=options.timeout, progress=batch.Progress("compile"))
    calls, owners, built = [], [], []
    for case, result in zip(cases, compiled):
        if not result["ok"]:
            text = result.get("error", "")
            fail(case, "compile", result.get("code") or batch.code_in(text), text)
            continue
        if options.compile_only:
            results[case.name] = {"status": "pass"}
            built.append(case)
            continue
        try:
            sets = data_sets(case, onnx.load(case.model))
        except Exception as e:  # test data of types that onnx itself cannot hold
            fail(case, "harness", "HARNESS", f"{type(e).__name__}: {e}")
            continue
        if not sets:
            fail(case, "harness", "HARNESS", "no test data")
        for n, (inputs, outputs) in enumerate(sets):
            if any(v is None for v in inputs + outputs):
                fail(case, "harness", "HARNESS", "inputs or outputs are not tensors of numbers")
                break
            base = os.path.join(work, f"{case.name}.{n}")
            names = [f"{base}.i{i}.npy" for i in range(len(inputs))]
            for path, array in zip(names, inputs):
                save(path, array)
            outs = [f"{base}.o{i}.npy" for i in range(len(outputs))]
            calls.append({"artifact": artifact(case), "inputs": names, "outputs": outs})
            owners.append((case, outputs))
    progress = batch.Progress("check")
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        checks = pool.map(lambda c: assembled.check(artifact(c), options.build), built)
        for i, (case, (why, checked)) in enumerate(zip(built, checks), 1):
            progress(i, len(built))
            if not checked and not why and not options.target.startswith("cpu:"):
                why = "holds no code for a GPU"
            if why:
                fail(case, "check", "ASSEMBLED", why)
    called = batch.call_all(options.build, calls, jobs=options.jobs, timeout=options.timeout,
                            progress=batch.Progress("run")) if calls else []
    for call, (case, want), result in zip(calls, owners, called):
        if results.get(case.name, {}).get("status") == "fail":
            continue
        if not result["ok"]:
            text = result.get("error", "")
            fail(case, "run", result.get("code") or batch.code_in(text), text)
            continue
        results[case.name] = {"status": "pass"}
        for i, (path, reference) in enumerate(zip(call["outputs"], want)):
            try:
                why = difference(load(path, reference.dtype), reference, case.rtol, case.atol)
            except Exception as e:
                why = f"{type(e).__name__}: {e}"
            if why:
                fail(case, "compare", "MISMATCH", f"output {i}: {why}")
                break
    return results


def main():
    parser = argparse.ArgumentParser(prog="conformance.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="cpu:native", help="what to compile for (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write every test's result")
    parser.add_argument("--filter", metavar="REGEX", help="only tests whose name holds a match")
    parser.add_argument("--exclude", metavar="REGEX", help="only tests whose name holds no match")
    parser.add_argument("--sample", type=int, metavar="N", help="only N tests, the same for the same --seed")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which tests --sample takes")
    parser.add_argument("--compile-only", action="store_true", help="stop after istc, and check the code of GPUs without one (assembled.py)")
    parser.add_argument("--device", help="where to run, such as opencl (default: ist-run's)")
    parser.add_argument("--update", action="store_true", help="rewrite the list of expected failures")
    parser.add_argument("--keep", metavar="DIR", help="keep artifacts and arrays there")
    parser.add_argument("--timeout", type=float, default=240, metavar="S", help="seconds a test may take")
    parser.add_argument("-v", "--verbose", action="store_true", help="list every failure, expected ones too")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help=argparse.SUPPRESS)
    parser.add_argument("--expected", default=os.path.join(ROOT, "test", "conformance", "expected-failures.txt"),
                        metavar="FILE", help="the list of expected failures")
    options = parser.parse_args()
    devices.choose(options.device, options.build)
    if onnx.__version__ != PINNED:
        sys.exit(f"error: needs onnx {PINNED}, found {onnx.__version__}; run ./scripts/install-deps.sh")

    begin = time.time()
    cases = find_cases()
    names = [c.name for c in cases]
    if options.sample:
        print(f"a sample of {options.sample} tests, --seed={options.seed}")
    if options.filter:
        cases = [c for c in cases if re.search(options.filter, c.name)]
    if options.exclude:
        cases = [c for c in cases if not re.search(options.exclude, c.name)]
    if not cases:
        sys.exit("error: --filter and --exclude leave no test")
    if options.sample and options.sample < len(cases):
        cases = sorted(random.Random(options.seed).sample(cases, options.sample))
    work = options.keep or tempfile.mkdtemp(prefix="isthmus-conformance-")
    os.makedirs(work, exist_ok=True)
    try:
        results = run(cases, options, work)
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)

    rules = read_expected(options.expected)
    if options.update:
        write_expected(options.expected, rules, results)
        rules = read_expected(options.expected)
    passed = failed = excluded = 0
    groups = collections.Counter()
    unexpected = []
    for pattern, reason in rules:
        if not any(map(pattern.fullmatch, names)):
            failed += 1
            unexpected.append(f"STALE {pattern.pattern}: is listed as failing ({reason}), and there is no such test")
    for name, r in sorted(results.items()):
        reason = next((why for p, why in rules if p.fullmatch(name)), None)
        if options.compile_only and reason and not reason.startswith("compile:"):
            reason = None  # it fails when it runs, if at all
        if r["status"] == "fail":
            groups[(r["stage"], r["code"])] += 1
            if reason is None:
                failed += 1
                unexpected.append(f"FAIL {name}: {r['stage']}: {brief(r)}")
            else:
                excluded += 1
                r["status"], r["reason"] = "excluded", reason
                if options.verbose:
                    print(f"excluded {name}: {r['stage']}: {brief(r)}")
        elif reason is None or options.compile_only:
            passed += 1
        else:
            failed += 1
            r["status"], r["reason"] = "unexpected-pass", reason
            unexpected.append(f"PASS {name}: is listed as failing ({reason}); take it off the list")
    print("\n".join(unexpected + assembled.notes()))
    for (stage, code), n in groups.most_common():
        print(f"{n:5d}  {stage}: {code}")
    if options.json:
        with open(options.json, "w") as f:
            json.dump({"target": options.target, "onnx": onnx.__version__, "total": len(cases), "passed": passed,
                       "failed": failed, "excluded": excluded, "seconds": round(time.time() - begin, 1),
                       "tests": results}, f, indent=1)
    print(f"{passed} passed, {failed} failed, {excluded} excluded")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
