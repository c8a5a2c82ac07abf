"""Compile ONNX models and call them.

    import isthmus
    artifact = isthmus.compile("model.onnx", target="cpu:native")
    f = isthmus.load(artifact)
    y = f(x)                 # or f(input_ids=a, attention_mask=b)

Inputs are NumPy arrays or anything with `__dlpack__`; results are NumPy arrays,
or `Tensor`s in device memory with `memory="device"`. Calls release the GIL, and
each thread gets a session of its own.
"""

from ._capi import Error, Status, library_path, version
from ._compile import CompileError, compile
from ._device import Device, devices, drivers, load_plugin, open_device
from ._program import Bound, Function, Outputs, Program, Session, Variant, inspect, load
from ._tensor import State, Tensor

__version__ = version()
__all__ = ["Bound", "CompileError", "Device", "Error", "Function", "Outputs", "Program", "Session", "State", "Status", "Tensor",
           "Variant", "compile", "devices", "drivers", "inspect", "library_path", "load", "load_plugin", "open_device", "version"]
