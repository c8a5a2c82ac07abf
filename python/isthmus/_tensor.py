"""Arrays to ist_tensors and back, with NumPy and DLPack."""

import ctypes as c

import numpy as np

from . import _capi
from ._capi import DTYPES, Error, Status, TensorStruct, call, raw


def numpy_dtype(index):
    if DTYPES[index] != "bfloat16":
        return np.dtype(DTYPES[index])
    try:
        import ml_dtypes
    except ImportError:
        raise Error(Status.UNAVAILABLE, "NumPy has no bfloat16; install ml_dtypes, which adds it") from None
    return np.dtype(ml_dtypes.bfloat16)


def dtype_index(dtype):
    name = dtype if isinstance(dtype, str) and dtype in DTYPES else np.dtype(dtype).name
    if name not in DTYPES:
        raise Error(Status.INVALID_ARGUMENT, f"there is no type here for {name}; convert the array")
    return DTYPES.index(name)


def fill(struct, data, capacity, dtype, shape, memory):
    if len(shape) > _capi.MAX_RANK:
        raise Error(Status.INVALID_ARGUMENT, f"{len(shape)} dims; at most {_capi.MAX_RANK} are possible")
    struct.data, struct.capacity, struct.bytes, struct.dtype = data, capacity, capacity, dtype
    struct.rank, struct.memory = len(shape), memory
    struct.dims[: len(shape)] = shape


def fill_numpy(struct, array):
    # Address 0 stands for "none" where arrays without elements have one all the same.
    fill(struct, array.ctypes.data or 64, array.nbytes, dtype_index(array.dtype), array.shape, _capi.HOST)


def aligned_empty(shape, dtype):
    """As np.empty, at 64 bytes, which every kernel can work on in place."""
    n = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    room = np.empty(n + 64, np.uint8)
    begin = -room.ctypes.data % 64
    return room[begin : begin + n].view(dtype).reshape(shape)


class State:
    """Memory with room for more than an input has so far: a cache that grows in place.

    `memory` is a writeable, contiguous array; the input is its first elements, of `shape`.
    """

    def __init__(self, memory, shape):
        self.memory, self.shape = memory, tuple(int(n) for n in shape)

    def array(self, shape=None):
        """What there is of `shape`, without a copy."""
        shape = self.shape if shape is None else tuple(shape)
        return self.memory.reshape(-1)[: int(np.prod(shape, dtype=np.int64))].reshape(shape)


# --- capsules ------------------------------------------------------------------

_python = c.pythonapi
_get = c.PYFUNCTYPE(c.c_void_p, c.py_object, c.c_char_p)(("PyCapsule_GetPointer", _python))
_valid = c.PYFUNCTYPE(c.c_int, c.py_object, c.c_char_p)(("PyCapsule_IsValid", _python))
_rename = c.PYFUNCTYPE(c.c_int, c.py_object, c.c_char_p)(("PyCapsule_SetName", _python))
# For destructors, where the object is on its way out and must not be counted.
_get_raw = c.PYFUNCTYPE(c.c_void_p, c.c_void_p, c.c_char_p)(("PyCapsule_GetPointer", _python))
_valid_raw = c.PYFUNCTYPE(c.c_int, c.c_void_p, c.c_char_p)(("PyCapsule_IsValid", _python))
_DESTRUCTOR = c.PYFUNCTYPE(None, c.c_void_p)
_new = c.PYFUNCTYPE(c.py_object, c.c_void_p, c.c_char_p, _DESTRUCTOR)(("PyCapsule_New", _python))
_DELETER = c.CFUNCTYPE(None, c.c_void_p)

_KINDS = {b"dltensor": _capi.DlManaged, b"dltensor_versioned": _capi.DlVersioned}
_USED = {b"dltensor": b"used_dltensor", b"dltensor_versioned": b"used_dltensor_versioned"}  # names outlive capsules


def _delete(pointer, kind):
    deleter = kind.from_address(pointer).deleter
    if deleter:
        _DELETER(deleter)(pointer)


class Borrowed:
    """A consumed DLPack tensor: describes it in `struct`, and ends it."""

    def __init__(self, thing, device):
        try:
            capsule = thing.__dlpack__(max_version=(1, 0))
        except TypeError:
            capsule = thing.__dlpack__()
        name = next((n for n in _KINDS if _valid(capsule, n)), None)
        if name is None:
            raise Error(Status.INVALID_ARGUMENT, f"__dlpack__ of {type(thing).__name__} gave no fresh DLPack capsule")
        self.kind, self.pointer, self.struct = _KINDS[name], _get(capsule, name), TensorStruct()
        convert = "ist_tensor_from_dlpack" + ("_versioned" if self.kind is _capi.DlVersioned else "")
        call(convert, device._handle, self.pointer, c.byref(self.struct))  # on failure the capsule keeps its tensor
        _rename(capsule, _USED[name])
        self.read_only = self.kind is _capi.DlVersioned and bool(_capi.DlVersioned.from_address(self.pointer).flags & 1)

    def __del__(self):
        if getattr(self, "read_only", None) is not None:
            _delete(self.pointer, self.kind)


_exported = {}  # what consumers of our capsules still use


@_capi.RELEASE
def _released(key):
    _exported.pop(key, None)


@_DESTRUCTOR
def _capsule_ended(capsule):
    for name, kind in _KINDS.items():
        if _valid_raw(capsule, name):  # nobody took it
            _delete(_get_raw(capsule, name), kind)


# --- tensors on devices ----------------------------------------------------------


class Tensor:
    """Memory of a device with a shape and a type: an argument or a result of calls. Has `__dlpack__`."""

    def __init__(self, device, shape, dtype):
        self.device, self.shape, self._dtype = device, tuple(int(n) for n in shape), dtype_index(dtype)
        sizes = {"float32": 4, "float64": 8, "bfloat16": 2, "bool": 1}
        width = sizes.get(DTYPES[self._dtype]) or np.dtype(DTYPES[self._dtype]).itemsize
        self.nbytes = int(np.prod(self.shape, dtype=np.int64)) * width
        self._data = c.c_void_p()
        call("ist_device_alloc", device._handle, _capi.DEVICE, max(self.nbytes, 1), c.byref(self._data))

    @classmethod
    def copy_of(cls, device, array):
        if isinstance(array, Tensor):
            self = cls(device, array.shape, array.dtype)
            call("ist_device_copy_from", device._handle, self._data, array.device._handle, array._data, array.nbytes)
            return self
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        self = cls(device, array.shape, array.dtype)
        call("ist_device_copy", device._handle, self._data, _capi.DEVICE, array.ctypes.data or None, _capi.HOST,
             array.nbytes)
        return self

    def __del__(self):
        if getattr(self, "_data", None):
            raw("ist_device_free")(self.device._handle, self._data)

    @property
    def dtype(self):
        return DTYPES[self._dtype]

    def numpy(self):
        """A copy on the host."""
        array = np.empty(self.shape, numpy_dtype(self._dtype))
        call("ist_device_copy", self.device._handle, array.ctypes.data or None, _capi.HOST, self._data, _capi.DEVICE,
             self.nbytes)
        return array

    def fill_struct(self, struct):
        fill(struct, self._data.value, self.nbytes, self._dtype, self.shape, _capi.DEVICE)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if copy:
            raise BufferError("copies are made with numpy() or Device.put")
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError("the tensor lies on another device; numpy() copies it to the host")
        struct, managed = TensorStruct(), c.c_void_p()
        self.fill_struct(struct)
        key = id(struct)
        _exported[key] = (self, struct)
        versioned = max_version is not None and max_version[0] >= 1
        try:
            if versioned:
                call("ist_tensor_to_dlpack_versioned", self.device._handle, c.byref(struct), _released, key, 0,
                     c.byref(managed))
            else:
                call("ist_tensor_to_dlpack", self.device._handle, c.byref(struct), _released, key, c.byref(managed))
        except Error as e:
            _exported.pop(key)
            raise BufferError(str(e)) from e
        return _new(managed, b"dltensor_versioned" if versioned else b"dltensor", _capsule_ended)

    def __dlpack_device__(self):
        capsule = self.__dlpack__()
        tensor = _capi.DlManaged.from_address(_get(capsule, b"dltensor")).tensor
        return tensor.device_type, tensor.device_id

    def __repr__(self):
        return f"isthmus.Tensor({self.dtype}{list(self.shape)} on {self.device.name})"
