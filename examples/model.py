"""Compiles an ONNX model and calls it.

    model.py MODEL.onnx [TARGET]
"""
import sys

import numpy as np

import isthmus

artifact = isthmus.compile(sys.argv[1], target=sys.argv[2] if len(sys.argv) > 2 else "cpu:native",
                           output=sys.argv[1] + ".ist")
f = isthmus.load(artifact)
rng = np.random.default_rng(0)
inputs = {}
for t in f.inputs:
    shape = [size if isinstance(size, int) else max(1, f.main.symbols[size][0]) for size in t.shape]
    inputs[t.name] = (rng.standard_normal(shape) if "float" in t.dtype else np.ones(shape)).astype(t.dtype)
results = f(**inputs)
for t, y in zip(f.outputs, results if len(f.outputs) > 1 else [results]):
    print(f"{t.name}: {y.dtype}{list(y.shape)}, the first values are {y.ravel()[:4]}")
