"""Runs many cases through istc and ist-run, a few processes at a time.

Both tools take `--batch=FILE.json`, a JSON list of cases, and print one JSON
line a case, in order: {"ok": true} or {"ok": false, "code": .., "error": ..}.
A process that dies or hangs loses only the case it was at: the rest goes on in
a new one.
"""

import concurrent.futures
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

CHUNK = 32


def failure(code, error):
    return {"ok": False, "code": code, "error": error}


def died(returncode, stderr):
    """The result of a case whose process ended without a word about it."""
    tail = " | ".join(stderr.strip().splitlines()[-3:])[:400]
    if returncode < 0:
        name = signal.Signals(-returncode).name
        return failure("CRASH", f"{name}: {tail}")
    if returncode >= 128:
        return failure("CRASH", f"exit status {returncode}: {tail}")
    return failure(code_in(stderr), tail or f"exit status {returncode}")


def code_in(text):
    """The stable code in a diagnostic: `error: IST-T0004: no model given`."""
    found = re.search(r"\bIST-[A-Z]*\d+\b", text)
    return found.group(0) if found else "ERROR"


def _run_process(tool, cases, timeout, flags):
    """One process over `cases`: the results until it ended, at least one."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as f:
        json.dump(cases, f)
    results = []
    try:
        stderr = tempfile.TemporaryFile("w+", errors="replace")
        process = subprocess.Popen([tool, f"--batch={f.name}", *flags], stdout=subprocess.PIPE, stderr=stderr,
                                   text=True, errors="replace")
        lines = queue.Queue()

        def pump():
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=pump, daemon=True).start()
        hung = False
        while len(results) < len(cases):
            try:
                line = lines.get(timeout=timeout)
            except queue.Empty:
                hung = True
                break
            if line is None:
                break
            if line.startswith("{"):
                results.append(json.loads(line))
        if len(results) == len(cases):
            # The work is done; how the process ends still counts for the last.
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                hung = True
            else:
                if status < 0 and results[-1].get("ok"):
                    results[-1] = died(status, "after its last case")
        if hung:
            process.kill()
            process.wait()
            results = results[: len(cases) - 1]
            results.append(failure("TIMEOUT", f"no answer in {timeout} s"))
        elif len(results) < len(cases):
            status = process.wait()
            stderr.seek(0)
            results.append(died(status, stderr.read()) if status else
                           failure("HARNESS", f"{os.path.basename(tool)} ended early without a result"))
    finally:
        os.unlink(f.name)
    return results


def run_all(tool, cases, jobs=2, timeout=60, progress=None, flags=()):
    """The result of every case, in order."""
    if not os.path.exists(tool):
        sys.exit(f"error: there is no {tool}; build it first: ./scripts/build.sh")
    results = [None] * len(cases)
    done = 0
    lock = threading.Lock()

    def count(n):
        nonlocal done
        with lock:
            done += n
            if progress:
                progress(done, len(cases))

    def chunk(begin):
        end = min(begin + CHUNK, len(cases))
        while begin < end:
            got = _run_process(tool, cases[begin:end], timeout, flags)
            results[begin : begin + len(got)] = got
            begin += len(got)
            count(len(got))

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(chunk, range(0, len(cases), CHUNK)))
    return results


def compile_all(build, cases, **options):
    """cases: {"model", "output", "target"}; target may be a list"""
    return run_all(os.path.join(build, "bin", "istc"), cases, **options)


def call_all(build, cases, **options):
    """cases: {"artifact", "inputs", "outputs"}, in the order of the signature"""
    # It ends a case by itself, and goes on with the next one.
    limit = options.pop("timeout", 60)
    return run_all(os.path.join(build, "bin", "ist-run"), cases, timeout=limit + 30, flags=[f"--timeout={int(limit)}"], **options)


class Progress:
    """`stage 120/1914` on one line of a terminal, now and then elsewhere."""

    def __init__(self, stage):
        self.stage, self.begin, self.shown = stage, time.time(), 0.0

    def __call__(self, done, total):
        now = time.time()
        if done < total and now - self.shown < (0.2 if sys.stderr.isatty() else 15):
            return
        self.shown = now
        line = f"{self.stage}: {done}/{total}, {now - self.begin:.0f} s"
        if sys.stderr.isatty():
            print(f"\r{line}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
