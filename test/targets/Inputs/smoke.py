"""Runs the kernels of test/Kernel/smoke and compares with numpy.

    smoke.py cpu code.so       code of the cpu target, called directly
    smoke.py opencl code.spv   SPIR-V, on the first OpenCL CPU device of the
                               library named by ISTHMUS_OPENCL

SMOKE=name:group:rows:columns,... runs only these kernels, of this group and so
many rows and columns of the result a workgroup.
"""

import ctypes
import os
import sys

import numpy as np

rng = np.random.default_rng(1)


def silu(n):
    x = rng.normal(0, 8, n).astype(np.float32)
    y = np.zeros_like(x)
    x64 = x.astype(np.float64)
    return [n], [x, y], -(-n // 1024), {1: x64 / (1 + np.exp(-x64))}, 0


def softmax(m, n):
    x = rng.normal(0, 4, (m, n)).astype(np.float32)
    y = np.zeros_like(x)
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    return [m, n], [x, y], m, {1: e / e.sum(1, keepdims=True)}, 0


def matmul(m, n, k):
    x = rng.normal(0, 1, (m, k)).astype(np.float16)
    w = rng.normal(0, 1, (k, n)).astype(np.float16)
    y = np.zeros((m, n), np.float32)
    grid = -(-m // 16) * -(-n // 16)
    if "matmul" in TILES:
        grid = -(-m // TILES["matmul"][1]) * -(-n // TILES["matmul"][2])
    return [m, n, k], [x, w, y], grid, {2: x.astype(np.float64) @ w}, 0


def gather(t, n, bad):
    table = rng.integers(0, 1 << 16, t, dtype=np.uint16)  # bf16, bit by bit
    index = rng.integers(0, t, n)
    want = table[index]
    if bad is not None:
        index[n // 2] = bad
        want[n // 2] = table[0]
    y = np.zeros(n, np.uint16)
    code = int(bad is not None)
    return [t, n], [table, index, y], -(-n // 256), {2: want}, code


CASES = {
    "silu": [(silu, a) for a in [(1,), (1023,), (1024,), (5003,)]],
    "softmax": [(softmax, a) for a in [(1, 1), (3, 255), (7, 256), (5, 1000)]],
    "matmul": [(matmul, a) for a in [(1, 1, 1), (16, 16, 16), (33, 50, 70)]],
    "gather": [(gather, a) for a in [(9, 1000, None), (9, 700, 9), (9, 300, -1)]],
}
TILES = {k[0]: [int(v) for v in k[1:]] for k in
         (part.split(":") for part in os.environ.get("SMOKE", "").split(",") if part)}
GROUP = 256


class Cpu:
    def __init__(self, path):
        self.code = ctypes.CDLL(path)

    def run(self, name, sizes, arrays, grid, error):
        blob = [*sizes, *(a.ctypes.data for a in arrays), error.ctypes.data]
        args = (ctypes.c_uint64 * len(blob))(*blob)
        entry = getattr(self.code, name)
        entry.restype = None
        # In two calls: the runtime may split the grid anywhere.
        half = grid // 2
        entry(args, ctypes.c_uint64(0), ctypes.c_uint64(half))
        entry(args, ctypes.c_uint64(half), ctypes.c_uint64(grid))


class OpenCL:
    def __init__(self, path):
        self.cl = ctypes.CDLL(os.environ["ISTHMUS_OPENCL"])
        platforms = (ctypes.c_void_p * 8)()
        count = ctypes.c_uint32()
        self.call("clGetPlatformIDs", 8, platforms, ctypes.byref(count))
        device = ctypes.c_void_p()
        for p in platforms[: count.value]:
            if self.cl.clGetDeviceIDs(ctypes.c_void_p(p), ctypes.c_uint64(2), 1, ctypes.byref(device), None) == 0:
                break
        else:
            sys.exit("no OpenCL CPU device")
        self.context = self.make("clCreateContext", None, 1, ctypes.byref(device), None, None)
        self.queue = self.make("clCreateCommandQueueWithProperties", self.context, device, None)
        il = open(path, "rb").read()
        self.program = self.make("clCreateProgramWithIL", self.context, il, ctypes.c_size_t(len(il)))
        if self.cl.clBuildProgram(self.program, 1, ctypes.byref(device), b"", None, None):
            log = ctypes.create_string_buffer(1 << 16)
            self.call("clGetProgramBuildInfo", self.program, device, 0x1183, ctypes.c_size_t(len(log)), log, None)
            sys.exit("build failed: " + log.value.decode(errors="replace"))

    def call(self, function, *args):
        status = getattr(self.cl, function)(*args)
        if status:
            sys.exit(f"{function}: {status}")

    def make(self, function, *args):
        f = getattr(self.cl, function)
        f.restype = ctypes.c_void_p
        status = ctypes.c_int32()
        made = f(*args, ctypes.byref(status))
        if status.value:
            sys.exit(f"{function}: {status.value}")
        return ctypes.c_void_p(made)

    def run(self, name, sizes, arrays, grid, error):
        kernel = self.make("clCreateKernel", self.program, name.encode())
        arrays = [*arrays, *([error] if name == "gather" else [])]
        buffers = []
        for i, size in enumerate(sizes):
            self.call("clSetKernelArg", kernel, i, ctypes.c_size_t(8), ctypes.byref(ctypes.c_uint64(size)))
        for i, a in enumerate(arrays):
            b = self.make("clCreateBuffer", self.context, ctypes.c_uint64(1 | 32), ctypes.c_size_t(a.nbytes), ctypes.c_void_p(a.ctypes.data))
            buffers.append(b)
            self.call("clSetKernelArg", kernel, len(sizes) + i, ctypes.c_size_t(8), ctypes.byref(b))
        size = TILES[name][0] if TILES else GROUP
        lanes, group = ctypes.c_size_t(grid * size), ctypes.c_size_t(size)
        self.call("clEnqueueNDRangeKernel", self.queue, kernel, 1, None, ctypes.byref(lanes), ctypes.byref(group), 0, None, None)
        for a, b in zip(arrays, buffers):
            self.call("clEnqueueReadBuffer", self.queue, b, 1, ctypes.c_size_t(0), ctypes.c_size_t(a.nbytes), ctypes.c_void_p(a.ctypes.data), 0, None, None)


def main():
    runner = {"cpu": Cpu, "opencl": OpenCL}[sys.argv[1]](sys.argv[2])
    for name, cases in CASES.items():
        worst = 0.0
        if TILES and name not in TILES:
            continue
        for make, args in cases:
            sizes, arrays, grid, outputs, code = make(*args)
            error = np.zeros(1, np.int32)
            runner.run(name, sizes, arrays, grid, error)
            if error[0] != code:
                sys.exit(f"{name}{args}: error word {error[0]}, expected {code}")
            for i, want in outputs.items():
                if want.dtype != np.float64:
                    if not np.array_equal(arrays[i], want):
                        sys.exit(f"{name}{args}: output {i} differs")
                    continue
                difference = np.abs(arrays[i] - want)
                limit = 1e-5 * np.abs(want) + 1e-6 * np.abs(want).max()
                worst = max(worst, float((difference / limit).max()))
                if not (difference <= limit).all():
                    sys.exit(f"{name}{args}: output {i} differs by {difference.max():.3g}")
        print(f"{name}: {len(cases)} cases, {worst:.2f} of the tolerance")


main()
