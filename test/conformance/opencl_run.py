#!/usr/bin/env python3
"""Runs an artifact's SPIR-V variant on an OpenCL CPU device, for tests.

    opencl_run.py --batch=FILE.json

FILE.json is a list of {"artifact", "inputs", "outputs"} (.npy files), as for
ist-run; one line of JSON a case comes back. ISTHMUS_OPENCL names the OpenCL
library, whose device must share memory with the host (fine-grained system SVM).

This is no driver: it is slow, trusts the artifact, and exists so that SPIR-V can
be compared with expected values as long as the runtime has no OpenCL driver.
Every buffer is followed by a guard that must still be there afterwards.
"""

import argparse
import ctypes
import json
import math
import os
import subprocess
import sys
import tempfile
import zipfile

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCHEMA = os.path.join(ROOT, "lib", "Artifact", "program.fbs")
DTYPES = {"f32": "f4", "f64": "f8", "f16": "f2", "bf16": "u2", "i1": "?",
          **{f"{k}{8 * n}": f"{k}{n}" for k in "iu" for n in (1, 2, 4, 8)}}
NAMES = ["f32", "f64", "f16", "bf16", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "i1"]
GUARD = 64
# Intel's runtime for CPUs joins work-items to vectors of its own, and gets some
# wrong or rounds them in another way than the rest; without, all is as written.
os.environ.setdefault("CL_CONFIG_CPU_VECTORIZER_MODE", "1")


class Failure(Exception):
    pass


class Device:
    def __init__(self):
        self.cl = ctypes.CDLL(os.environ["ISTHMUS_OPENCL"])
        platforms = (ctypes.c_void_p * 8)()
        count = ctypes.c_uint32()
        self.call("clGetPlatformIDs", 8, platforms, ctypes.byref(count))
        self.device = ctypes.c_void_p()
        for p in platforms[: count.value]:
            if self.cl.clGetDeviceIDs(ctypes.c_void_p(p), ctypes.c_uint64(2), 1, ctypes.byref(self.device), None):
                continue
            svm = ctypes.c_uint64()
            self.cl.clGetDeviceInfo(self.device, 0x1053, ctypes.c_size_t(8), ctypes.byref(svm), None)
            if svm.value & 4:
                break
        else:
            sys.exit("no OpenCL CPU device that shares memory with the host")
        self.context = self.make("clCreateContext", None, 1, ctypes.byref(self.device), None, None)
        self.queue = self.make("clCreateCommandQueueWithProperties", self.context, self.device, None)

    def call(self, function, *args):
        status = getattr(self.cl, function)(*args)
        if status:
            raise Failure(f"{function}: {status}")

    def make(self, function, *args):
        f = getattr(self.cl, function)
        f.restype = ctypes.c_void_p
        status = ctypes.c_int32()
        made = f(*args, ctypes.byref(status))
        if status.value:
            raise Failure(f"{function}: {status.value}")
        return ctypes.c_void_p(made)

    def build(self, code):
        program = self.make("clCreateProgramWithIL", self.context, code, ctypes.c_size_t(len(code)))
        if self.cl.clBuildProgram(program, 1, ctypes.byref(self.device), b"", None, None):
            log = ctypes.create_string_buffer(1 << 16)
            self.call("clGetProgramBuildInfo", program, self.device, 0x1183, ctypes.c_size_t(len(log)), log, None)
            raise Failure("build failed: " + log.value.decode(errors="replace"))
        return program

    def launch(self, kernel, args, grid, group):
        for i, (kind, value) in enumerate(args):
            if kind == "scalar":
                self.call("clSetKernelArg", kernel, i, ctypes.c_size_t(8), ctypes.byref(ctypes.c_int64(value)))
            else:
                self.call("clSetKernelArgSVMPointer", kernel, i, ctypes.c_void_p(value))
        lanes, local = ctypes.c_size_t(grid * group), ctypes.c_size_t(group)
        self.call("clEnqueueNDRangeKernel", self.queue, kernel, 1, None, ctypes.byref(lanes), ctypes.byref(local),
                  0, None, None)
        self.call("clFinish", self.queue)


class Memory:
    """Bytes at a multiple of 64, with a guard behind them."""

    def __init__(self, size):
        self.all = np.full(size + 2 * GUARD, 0xA5, np.uint8)
        self.begin = -self.all.ctypes.data % 64
        self.size = size

    def whole(self):
        return self.all[self.begin : self.begin + self.size]

    def check(self):
        if (self.all[self.begin + self.size :] != 0xA5).any():
            raise Failure("a kernel wrote behind its buffer")


class Program:
    def __init__(self, device, artifact):
        self.device = device
        with zipfile.ZipFile(artifact) as z, tempfile.TemporaryDirectory() as work:
            with open(os.path.join(work, "manifest"), "wb") as f:
                f.write(z.read("manifest"))
            subprocess.run(["flatc", "-t", "--strict-json", "--raw-binary", "-o", work, SCHEMA, "--",
                            os.path.join(work, "manifest")], check=True, capture_output=True)
            with open(os.path.join(work, "manifest.json")) as f:
                manifest = json.load(f)
            variant = next(v for v in manifest["variants"] if v["format"] == "spirv")
            self.program = variant["program"]
            self.code = device.build(z.read(variant["code"]))
            self.weights = []
            members = {}
            for w in manifest.get("weights", []):
                if w["member"] not in members:
                    members[w["member"]] = np.frombuffer(z.read(w["member"]), np.uint8)
                begin = w.get("offset", 0)
                self.weights.append(self.keep(members[w["member"]][begin : begin + w.get("bytes", 0)]))
        self.kernels = [device.make("clCreateKernel", self.code, k["name"].encode())
                        for k in self.program.get("kernels", [])]
        self.derived = {}
        for f in self.program["functions"]:
            if f["name"] == "init":
                self.run(f, [])

    def keep(self, data):
        memory = Memory(data.nbytes)
        memory.whole()[:] = data.reshape(-1).view(np.uint8)
        return memory.whole()

    def run(self, f, inputs):
        r = [0] * f.get("int_regs", 0)
        b = [None] * f.get("buffer_regs", 0)
        outs = {}
        consts, launches = f.get("consts", []), f.get("launches", [])
        transients = f.get("transients", [])
        held, loops = [], []
        symbols = f.get("symbols", [])
        seen = {}
        for array, t in zip(inputs, f.get("inputs", [])):
            for size, dim in zip(array.shape, t.get("dims", [])):
                if dim.get("symbol", -1) >= 0:
                    seen[dim["symbol"]] = size
        for i in range(len(symbols)):
            r[i] = seen[i]

        def alloc(size):
            held.append(Memory(size))
            return held[-1].whole()

        simple = {
            "move": lambda i: r[i["a"]], "const_": lambda i: consts[i["a"]],
            "add": lambda i: r[i["a"]] + r[i["b"]], "sub": lambda i: r[i["a"]] - r[i["b"]],
            "mul": lambda i: r[i["a"]] * r[i["b"]], "floordiv": lambda i: r[i["a"]] // r[i["b"]],
            "ceildiv": lambda i: -(-r[i["a"]] // r[i["b"]]), "mod": lambda i: r[i["a"]] % r[i["b"]],
            "min": lambda i: min(r[i["a"]], r[i["b"]]), "max": lambda i: max(r[i["a"]], r[i["b"]]),
            "cmp_eq": lambda i: int(r[i["a"]] == r[i["b"]]), "cmp_ne": lambda i: int(r[i["a"]] != r[i["b"]]),
            "cmp_lt": lambda i: int(r[i["a"]] < r[i["b"]]), "cmp_le": lambda i: int(r[i["a"]] <= r[i["b"]]),
            "and_": lambda i: r[i["a"]] & r[i["b"]], "or_": lambda i: r[i["a"]] | r[i["b"]],
            "xor_": lambda i: r[i["a"]] ^ r[i["b"]],
            "select": lambda i: r[i["b"]] if r[i["a"]] else r[i["c"]],
            "read": lambda i: int(b[i["a"]].view(DTYPES[NAMES[i["c"]]])[r[i["b"]]]),
        }
        buffers = {
            "input": lambda i: self.keep(np.ascontiguousarray(inputs[i["a"]])),
            "weight": lambda i: self.weights[i["a"]], "derived": lambda i: self.derived[i["a"]],
            "alloc": lambda i: alloc(r[transients[i["a"]].get("size", 0)]),
            "view": lambda i: b[i["a"]][r[i["b"]] : r[i["b"]] + r[i["c"]]], "bmove": lambda i: b[i["a"]],
        }
        pc = 0
        while pc < len(f["code"]):
            i = f["code"][pc]
            op = i.get("op", "nop")
            pc += 1
            if op in simple:
                r[i["dst"]] = simple[op](i)
            elif op in buffers:
                b[i["dst"]] = buffers[op](i)
            elif op == "alloc_output":
                outs[i["a"]] = b[i["dst"]] = alloc(r[i["b"]])
            elif op == "alloc_derived":
                self.derived[i["a"]] = b[i["dst"]] = alloc(r[i["b"]])
            elif op == "set_output":
                outs[i["dst"]] = b[i["a"]].copy()
            elif op == "copy":
                b[i["dst"]][: r[i["b"]]] = b[i["a"]][: r[i["b"]]]
            elif op == "fill":
                b[i["dst"]][: r[i["b"]]] = r[i["a"]] & 255
            elif op == "check":
                if not r[i["a"]]:
                    raise Failure(self.program["strings"][i["b"]])
            elif op == "if_":
                if not r[i["a"]]:
                    pc = i["b"] + 1
            elif op == "else_":
                pc = i["b"]
            elif op == "loop":
                if r[i["a"]] <= 0:
                    pc = i["b"] + 1
                else:
                    loops.append([pc, 0, r[i["a"]]])
                    r[i["dst"]] = 0
            elif op == "end_loop":
                loop = loops[-1]
                loop[1] += 1
                if loop[1] < loop[2]:
                    r[f["code"][i["b"]]["dst"]] = loop[1]
                    pc = loop[0]
                else:
                    loops.pop()
            elif op == "break_if":
                if r[i["a"]]:
                    loops.pop()
                    pc = i["b"] + 1
            elif op == "launch":
                self.launch(launches[i["a"]], r, b)
            elif op not in ("nop", "end_if"):
                raise Failure(f"unknown command {op}")
        for memory in held:
            memory.check()
        results = []
        for n, t in enumerate(f.get("outputs", [])):
            shape = [r[d["reg"]] if d.get("reg", -1) >= 0 else d["size"] for d in t.get("dims", [])]
            dtype = np.dtype(DTYPES[t.get("dtype", "f32")])
            results.append(outs[n][: math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape))
        return results

    def launch(self, launch, r, b):
        number = launch.get("kernel", 0)
        kernel = self.program["kernels"][number]
        grid = r[launch.get("grid", 0)]
        if not grid:
            return
        buffers, scalars = iter(launch.get("buffers", [])), iter(launch.get("scalars", []))
        error = np.zeros(1, np.uint32)
        args = []
        for p in kernel["params"]:
            kind = p.get("kind", "address")
            if kind == "address":
                args.append((kind, b[next(buffers)].ctypes.data or 64))
            elif kind == "scalar":
                args.append((kind, r[next(scalars)]))
            else:
                args.append((kind, error.ctypes.data))
        self.device.launch(self.kernels[number], args, grid, kernel.get("workgroup", 1))
        if error[0]:
            raise Failure(self.program["strings"][launch["errors"][error[0] - 1]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", required=True)
    options = parser.parse_args()
    device = Device()
    with open(options.batch) as f:
        cases = json.load(f)
    for case in cases:
        result = {"ok": True}
        try:
            program = Program(device, case["artifact"])
            f = next(f for f in program.program["functions"] if f["name"] == "main")
            outputs = program.run(f, [np.load(p) for p in case["inputs"]])
            for path, array in zip(case["outputs"], outputs):
                np.save(path, array)
        except Failure as e:
            result = {"ok": False, "code": "OPENCL", "error": str(e)}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
