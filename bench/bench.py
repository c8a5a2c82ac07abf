"""Times models beside other runtimes, in one run.

For each model every peer loads it in a process of its own. After a warm-up
come rounds in which each peer in turn, in changing order, calls the model for a
moment; a round's time is its median call, the reported time the median round.
A ratio is the median of the rounds' ratios, with the interval that holds it 95
times of 100 (order statistics: it needs 6 rounds, and with fewer is their range).
"best" compares the quickest rounds: what a busy machine disturbs least.
Outputs are compared with ONNX Runtime's. Models in f16 and in bytes have tables
and means of their own. Started by bench.sh.
"""

import argparse
import datetime
import importlib.metadata
import json
import math
import os
import platform
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test", "models"))

import peers  # noqa: E402
import zoo  # noqa: E402

US, BASE = "isthmus", "onnxruntime"
SLOW, SLOW_ROUNDS = 2000, 3  # a call that takes longer than so many ms gets so few rounds
PAUSE = 0.05  # for threads that still spin after a call


class Worker:
    def __init__(self, how, peer, spec, timeout):
        self.timeout = timeout
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen([sys.executable, os.path.join(ROOT, "bench", "peers.py"), how, peer, spec],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        start_new_session=True)

    def answer(self):
        """The next line from it; {"error"} when there is none."""
        ready, _, _ = select.select([self.process.stdout], [], [], self.timeout)
        line = self.process.stdout.readline() if ready else None
        if line:
            return json.loads(line)
        if not ready:
            self.end()
            return {"error": f"no answer in {self.timeout:.0f} s"}
        status = self.process.wait()
        self.log.seek(0)
        tail = [text for text in self.log.read().splitlines() if text.strip()][-1:]
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return {"error": f"{how}: {tail[0][:200] if tail else ''}"}

    def ask(self, **order):
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            pass
        return self.answer()

    def end(self):
        if self.process.returncode is None:
            try:
                self.process.stdin.close()
                self.process.wait(2)
            except (OSError, subprocess.TimeoutExpired):
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def compile_with(peer, spec, timeout):
    """{"seconds", "bytes", "memory"} or {"error"}"""
    if not hasattr(peers.PEERS[peer], "compile"):
        return {}
    worker = Worker("compile", peer, spec, timeout)
    answer = worker.answer()
    try:
        _, _, usage = os.wait4(worker.process.pid, 0)
        worker.process.returncode = 0
        answer["memory"] = usage.ru_maxrss * 1024
    except ChildProcessError:
        pass
    return answer


def alike(got, want, most):
    """None, or how far outputs are from ONNX Runtime's. Loose: who computes something else is to be found."""
    if len(got) != len(want):
        return f"{len(got)} outputs, not {len(want)}"
    for a, b in zip(got, want):
        if a.shape != b.shape:
            return f"shape {list(a.shape)}, not {list(b.shape)}"
        a, b = a.astype(np.float64), b.astype(np.float64)
        worst = np.abs(a - b).max(initial=0)
        if not worst <= most * np.abs(b).max(initial=0) + 1e-6:
            return f"differs by {worst:.2g} of {np.abs(b).max():.2g}"
    return None


def time_all(names, spec_of, threads, options, results, most):
    """Interleaved rounds of all peers that have compiled."""
    workers = {}
    for name in names:
        with open(spec_of[name]) as f:
            spec = json.load(f)
        spec["threads"] = threads
        path = os.path.join(spec["work"], f"{name}.{threads}.json")
        with open(path, "w") as f:
            json.dump(spec, f)
        worker = Worker("serve", name, path, options.timeout)
        entry = results[name].setdefault(f"threads {threads}", {})
        answer = worker.answer()
        if "loaded" in answer:
            entry["load_seconds"] = answer["loaded"]
            answer = worker.ask(run=options.warmup)
        if "times" in answer:
            entry["first_ms"] = answer["times"][0]
            slow = min(answer["times"]) > SLOW
            if not slow and len(answer["times"]) < 3:
                worker.ask(run=options.warmup)
            file = os.path.join(spec["work"], f"{name}.npz")
            answer = worker.ask(results=file)
        if "error" in answer:
            entry["error"] = answer["error"]
            worker.end()
            continue
        with np.load(file) as data:
            entry["outputs"] = [data[k] for k in data.files]
        workers[name] = (worker, entry, [], slow)

    want = workers[BASE][1]["outputs"] if BASE in workers else None
    for name, (worker, entry, _, _) in workers.items():
        why = alike(entry["outputs"], want, most) if want is not None else None
        if why:
            entry["error"] = f"wrong: {why}"
            worker.end()
    for _, entry, _, _ in workers.values():
        entry.pop("outputs", None)
    workers = {n: w for n, w in workers.items() if "error" not in w[1]}

    for round in range(options.rounds):
        order = list(workers)
        order = order[round % len(order):] + order[: round % len(order)] if order else []
        for name in order:
            worker, entry, times, slow = workers[name]
            if "error" in entry or (slow and round >= SLOW_ROUNDS):
                continue
            time.sleep(PAUSE)
            answer = worker.ask(run=options.min_time)
            if "error" in answer:
                entry["error"] = answer["error"]
            else:
                times.append(statistics.median(answer["times"]))
    for name, (worker, entry, times, slow) in workers.items():
        if "error" not in entry:
            entry.update(ms=statistics.median(times), min_ms=min(times), rounds_ms=times)
            entry["memory"] = worker.ask(end=True).get("memory")
        worker.end()


def bench(model, options, work):
    results = {name: {} for name in options.peers}
    path = model.ready(options.work)
    label, feeds = next(iter(model.feeds(path).items()))
    array = os.path.join(work, "feeds.npz")
    np.savez(array, **{f"i{i}": v for i, v in enumerate(feeds.values())})
    spec_of = {}
    for name in options.peers:
        folder = os.path.join(work, name)
        os.makedirs(folder)
        spec = {"model": path, "shapes": model.shapes, "inputs": list(feeds), "feeds": array, "work": folder,
                "build": os.path.abspath(options.build)}
        spec_of[name] = os.path.join(folder, "spec.json")
        with open(spec_of[name], "w") as f:
            json.dump(spec, f)
        answer = compile_with(name, spec_of[name], options.timeout)
        if "error" in answer:
            results[name]["error"] = answer["error"]
        elif answer:
            results[name]["compile"] = answer
        tell(f"{model.name}: {name}: " + (answer.get("error") or (f"compiled in {answer['seconds']:.1f} s" if answer else
                                                                  "compiles when it loads")))
    # A last digit decides about a step of a byte, and about those that follow.
    most = 0.1 if model.precision == "int8" else 0.01
    for threads in options.threads:
        time_all([n for n in options.peers if "error" not in results[n]], spec_of, threads, options, results, most)
        for name, entry in results.items():
            entry = entry.get(f"threads {threads}", {})
            if entry:
                tell(f"{model.name}: {name}: {threads} thread{'s'[:threads > 1]}: " +
                     (entry.get("error") or f"{entry['ms']:.3f} ms ({entry['min_ms']:.3f} to {max(entry['rounds_ms']):.3f})"))
    return {"input": label, "precision": model.precision, "peers": results}


def tell(text):
    print(text, file=sys.stderr, flush=True)


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
               platform.machine())
    return {"cpu": cpu, "cpus": len(os.sched_getaffinity(0)), "memory_gib": round(
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30), "system": platform.platform(terse=True),
        "python": platform.python_version(), "load": os.getloadavg()[0]}


def commit():
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip()


# --- tables ------------------------------------------------------------------


def cell(peer, threads):
    entry = peer.get(f"threads {threads}", {})
    if "error" in peer or "error" in entry or not entry:
        return None
    return entry


def ratios(results, other, threads):
    """Ours over theirs, round by round; none where one of the two did not run."""
    ours, theirs = (cell(results["peers"].get(n, {}), threads) for n in (US, other))
    return [a / b for a, b in zip(ours["rounds_ms"], theirs["rounds_ms"])] if ours and theirs else []


def best(results, other, threads):
    ours, theirs = (cell(results["peers"].get(n, {}), threads) for n in (US, other))
    return ours["min_ms"] / theirs["min_ms"] if ours and theirs else None


def interval(values, sure=0.95):
    """Holds the median of what `values` are drawn from, `sure` of the times (binomial; Conover 1999, 3.2)."""
    values, outside, skip = sorted(values), 0.0, 0
    while skip < len(values) // 2:
        outside += 2 * math.comb(len(values), skip) / 2 ** len(values)
        if outside > 1 - sure:
            break
        skip += 1
    skip = max(skip - 1, 0)
    return values[skip], values[-1 - skip]


def median_of(values):
    low, high = interval(values)
    return f"{statistics.median(values):.2f} ({low:.2f} to {high:.2f})"


def precisions(report):
    """(name, the report of these models alone); f32, which the last lines are about, comes last."""
    names = sorted({m["precision"] for m in report["models"].values()}, key=lambda p: p == "f32")
    return [(p, {**report, "models": {n: m for n, m in report["models"].items() if m["precision"] == p}}) for p in names]


def geomeans(report, precision="f32"):
    lines = []
    what = "" if precision == "f32" else f"in {precision}, "
    for threads in report["threads"]:
        for other in reversed([n for n in report["peers"] if n != US]):
            found = [r for m in report["models"].values() if (r := ratios(m, other, threads))]
            mean = "-"
            if found:
                middle = math.exp(statistics.fmean(math.log(statistics.median(r)) for r in found))
                low, high = interval([math.exp(statistics.fmean(map(math.log, r))) for r in zip(*found)])
                mean = f"{middle:.2f} ({low:.2f} to {high:.2f})"
            lines.append(f"geomean vs {other}: {mean} ({what}{threads} thread{'s'[:threads > 1]}, {len(found)} of "
                         f"{len(report['models'])} models)")
    return lines


def table(head, rows):
    out = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return out + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def markdown(report, precision="f32"):
    names, models = report["peers"], report["models"]
    others = [n for n in names if n != US]
    out = []
    what = "" if precision == "f32" else f", models in {precision}"
    for threads in report["threads"]:
        out += [f"### Milliseconds a call, {threads} thread{'s'[:threads > 1]}{what}", ""]
        rows = []
        for model, results in models.items():
            cells = [cell(results["peers"][n], threads) for n in names]
            few = ["*" if c and len(c["rounds_ms"]) < report["rounds"] else "" for c in cells]
            row = [model] + [f"{c['ms']:.2f}{star}" if c else "-" for c, star in zip(cells, few)]
            row += [median_of(r) if (r := ratios(results, n, threads)) else "-" for n in others]
            quickest = best(results, BASE, threads)
            rows.append(row + [f"{quickest:.2f}" if quickest else "-"])
        out += table(["model", *names, *(f"vs {n}" for n in others), f"best vs {BASE}"], rows)
    first = report["threads"][0]

    def seconds(peer):
        entry = cell(peer, first)
        made = peer.get("compile", {}).get("seconds")
        return made if made is not None else entry and entry["load_seconds"]

    def size(peer):
        made = peer.get("compile", {}).get("bytes")
        return made and made / 2**20

    def memory(peer):
        entry = cell(peer, first)
        return entry and entry["memory"] and entry["memory"] / 2**20

    for title, value, form in (("Seconds to compile", seconds, "{:.1f}"), ("MiB of the artifact", size, "{:.1f}"),
                               (f"Peak MiB of the process that runs it, {first} threads", memory, "{:.0f}")):
        rows = [[model] + [form.format(v) if (v := value(results["peers"][n])) is not None else "-" for n in names]
                for model, results in models.items()]
        if any(set(row[1:]) != {"-"} for row in rows):
            out += [f"### {title}{what}", ""] + table(["model", *names], rows)
    reasons = {}
    for model, results in models.items():
        for n in names:
            peer = results["peers"][n]
            why = peer.get("error") or next((e["error"] for t in report["threads"]
                                             if "error" in (e := peer.get(f"threads {t}", {}))), None)
            if why:
                reasons.setdefault((n, why), []).append(model)
    if reasons:
        out += [f"### What did not run{what}", ""]
        out += [f"* {n}, {', '.join(where)}: {why}" for (n, why), where in reasons.items()]
        out.append("")
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(prog="bench.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write everything there")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables there")
    parser.add_argument("--filter", metavar="REGEX", default="", help="only models whose name holds a match")
    parser.add_argument("--peers", default=",".join(peers.PEERS), help="default: %(default)s")
    parser.add_argument("--threads", default="2,1", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--min-time", type=float, default=0.2, metavar="S", help="seconds a round, at least one call")
    parser.add_argument("--warmup", type=float, default=0.5, metavar="S")
    parser.add_argument("--timeout", type=float, default=600, metavar="S", help="for each step of a peer")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help=argparse.SUPPRESS)
    parser.add_argument("--work", metavar="DIR", help="where models are made (default: models/ in the build folder)")
    options = parser.parse_args()
    options.peers = options.peers.split(",")
    options.threads = [int(t) for t in options.threads.split(",")]
    options.work = options.work or os.path.join(options.build, "models")
    unknown = [n for n in options.peers if n not in peers.PEERS]
    if unknown:
        sys.exit(f"error: no peer {unknown[0]}; there are {', '.join(peers.PEERS)}")

    report = {"date": datetime.date.today().isoformat(), "commit": commit(), "machine": machine(),
              "versions": {n: importlib.metadata.version(peers.PACKAGES[n]) for n in options.peers if n != US},
              "iree_flags": peers.Iree.FLAGS, "peers": options.peers, "threads": options.threads,
              "rounds": options.rounds, "models": {}}
    for model in zoo.MODELS:
        if not model.bench or not re.search(options.filter, model.name):
            continue
        work = tempfile.mkdtemp(prefix="isthmus-bench-")
        try:
            report["models"][model.name] = bench(model, options, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if options.json:
            with open(options.json, "w") as f:
                json.dump(report, f, indent=1)
    if not report["models"]:
        sys.exit("error: no such model")
    text = "\n".join(markdown(part, p) for p, part in reversed(precisions(report)))
    if options.markdown:
        with open(options.markdown, "w") as f:
            f.write(text)
    print(text)
    print(f"{report['machine']['cpu']}, {report['machine']['cpus']} CPUs; " +
          ", ".join(f"{n} {v}" for n, v in report["versions"].items()) + f"; IREE: {' '.join(peers.Iree.FLAGS)}")
    print("\n".join(line for p, part in precisions(report) for line in geomeans(part, p)))


if __name__ == "__main__":
    main()
