"""The part of include/isthmus/runtime.h that a benchmark needs, by ctypes."""

import ctypes as c

import numpy as np

DTYPES = ["float32", "float64", "float16", None, "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "bool"]
MAX_RANK = 16


class Error(c.Structure):
    _fields_ = [("code", c.c_int), ("message", c.c_char * 1020)]


class Tensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("capacity", c.c_size_t), ("bytes", c.c_size_t), ("dtype", c.c_int),
                ("rank", c.c_int32), ("dims", c.c_int64 * MAX_RANK), ("memory", c.c_int), ("reserved", c.c_uint32)]


class DimInfo(c.Structure):
    _fields_ = [("size", c.c_int64), ("symbol", c.c_int32)]


class TensorInfo(c.Structure):
    _fields_ = [("name", c.c_char_p), ("dtype", c.c_int), ("rank", c.c_int32), ("dims", DimInfo * MAX_RANK),
                ("inout", c.c_int32)]


class FunctionInfo(c.Structure):
    _fields_ = [("name", c.c_char_p), ("symbol_count", c.c_uint32), ("input_count", c.c_uint32),
                ("output_count", c.c_uint32), ("launch_count", c.c_uint32), ("transient_count", c.c_uint32),
                ("command_count", c.c_uint32), ("host_waits", c.c_int32)]


class Session:
    """One artifact, ready to be called. Ends with the process."""

    def __init__(self, library, artifact):
        self.library = c.CDLL(library)
        self.error = Error()
        device, program, self.session = c.c_void_p(), c.c_void_p(), c.c_void_p()
        self.check(self.library.ist_device_open(b"cpu", None, c.byref(device), c.byref(self.error)))
        self.check(self.library.ist_program_load(artifact.encode(), device, c.c_int32(-1), c.byref(program),
                                                 c.byref(self.error)))
        self.check(self.library.ist_session_create(program, None, c.byref(self.session), c.byref(self.error)))
        index, info, tensor = c.c_uint32(), FunctionInfo(), TensorInfo()
        self.check(self.library.ist_program_find_function(program, b"main", c.byref(index), c.byref(self.error)))
        self.check(self.library.ist_program_function(program, index, c.byref(info), c.byref(self.error)))
        self.inputs = []
        for i in range(info.input_count):
            self.check(self.library.ist_program_input(program, index, c.c_uint32(i), c.byref(tensor), c.byref(self.error)))
            self.inputs.append(tensor.name.decode())
        self.outputs = (Tensor * info.output_count)()

    def check(self, status):
        if status:
            raise RuntimeError(self.error.message.decode(errors="replace"))

    def bind(self, feeds):
        self.kept = [np.asarray(feeds[name], order="C") for name in self.inputs]
        self.arguments = (Tensor * len(self.kept))()
        for tensor, array in zip(self.arguments, self.kept):
            tensor.data, tensor.capacity = array.ctypes.data, array.nbytes
            tensor.dtype, tensor.rank = DTYPES.index(array.dtype.name), array.ndim
            tensor.dims[: array.ndim] = array.shape

    def __call__(self):
        self.check(self.library.ist_call(self.session, b"main", self.arguments, c.c_size_t(len(self.arguments)),
                                         self.outputs, c.c_size_t(len(self.outputs)), c.byref(self.error)))

    def results(self):
        """Copies of the last call's outputs."""
        return [np.frombuffer(c.string_at(t.data, t.bytes), DTYPES[t.dtype]).reshape(t.dims[: t.rank])
                for t in self.outputs]
