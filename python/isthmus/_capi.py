"""include/isthmus/runtime.h and dlpack.h for ctypes, and where the library is."""

import ctypes as c
import enum
import os
import sys

MAX_RANK = 16
DTYPES = ["float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
          "uint64", "bool"]
HOST, DEVICE = 0, 1


class Status(enum.IntEnum):
    OK = 0
    INVALID_ARGUMENT = 1
    NOT_FOUND = 2
    UNAVAILABLE = 3
    RESOURCE_EXHAUSTED = 4
    DATA_LOSS = 5
    UNIMPLEMENTED = 6
    ABORTED = 7
    DEADLINE_EXCEEDED = 8
    INTERNAL = 9
    DEVICE_LOST = 10


class Error(RuntimeError):
    """What a function of the runtime answered; `code` is a Status, which says what to do."""

    def __init__(self, code, message):
        super().__init__(f"{Status(code).name}: {message}")
        self.code, self.message = Status(code), message


class ErrorRecord(c.Structure):
    _fields_ = [("code", c.c_int), ("message", c.c_char * 1020)]


class TensorStruct(c.Structure):
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


class SymbolInfo(c.Structure):
    _fields_ = [("name", c.c_char_p), ("min", c.c_int64), ("max", c.c_int64), ("multiple", c.c_int64)]


class ArtifactInfo(c.Structure):
    _fields_ = [("producer", c.c_char_p), ("model", c.c_char_p), ("version", c.c_uint32), ("variant_count", c.c_uint32),
                ("variant", c.c_uint32), ("weight_count", c.c_uint32), ("function_count", c.c_uint32),
                ("kernel_count", c.c_uint32), ("weight_bytes", c.c_uint64), ("derived_bytes", c.c_uint64)]


class DeviceOptions(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("native_kind", c.c_char_p), ("native", c.c_void_p),
                ("memory_limit", c.c_uint64)]


class MemoryInfo(c.Structure):
    _fields_ = [(name, c.c_uint64) for name in ("available", "total", "used", "high", "limit")]


class DlTensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("device_type", c.c_int32), ("device_id", c.c_int32), ("ndim", c.c_int32),
                ("code", c.c_uint8), ("bits", c.c_uint8), ("lanes", c.c_uint16), ("shape", c.POINTER(c.c_int64)),
                ("strides", c.POINTER(c.c_int64)), ("byte_offset", c.c_uint64)]


class DlManaged(c.Structure):
    _fields_ = [("tensor", DlTensor), ("context", c.c_void_p), ("deleter", c.c_void_p)]


class DlVersioned(c.Structure):
    _fields_ = [("major", c.c_uint32), ("minor", c.c_uint32), ("context", c.c_void_p), ("deleter", c.c_void_p),
                ("flags", c.c_uint64), ("tensor", DlTensor)]


class VariantInfo(c.Structure):
    _fields_ = [("target", c.c_char_p), ("format", c.c_char_p), ("code", c.c_char_p), ("fact_count", c.c_uint32)]


class DeviceDescription(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("vendor", c.c_char_p), ("formats", c.c_char_p),
                ("facts", c.POINTER(c.c_char_p)), ("fact_count", c.c_size_t)]


class SessionOptions(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("arena", c.c_void_p), ("arena_bytes", c.c_uint64), ("allocator", c.c_void_p),
                ("memory_limit", c.c_uint64), ("native_kind", c.c_char_p), ("native", c.c_void_p),
                ("no_recordings", c.c_uint32), ("reserved", c.c_uint32)]


class SessionCounters(c.Structure):
    _fields_ = [("struct_size", c.c_size_t)] + [(name, c.c_uint64) for name in (
        "calls", "replays", "recordings", "re_records", "host_waits", "launches", "bytes", "high")]


DEVICE_VISITOR = c.CFUNCTYPE(None, c.c_void_p, c.c_char_p, c.c_char_p)
DRIVER_VISITOR = c.CFUNCTYPE(None, c.c_void_p, c.c_char_p, c.c_uint32, c.c_char_p)
COUNTER_VISITOR = c.CFUNCTYPE(None, c.c_void_p, c.c_char_p, c.c_char_p, c.c_uint64)
VARIANT_VISITOR = c.CFUNCTYPE(None, c.c_void_p, c.c_uint32, c.c_char_p)
RELEASE = c.CFUNCTYPE(None, c.c_void_p)

_p, _s, _u32, _i32, _u64, _size = c.c_void_p, c.c_char_p, c.c_uint32, c.c_int32, c.c_uint64, c.c_size_t
_error = c.POINTER(ErrorRecord)
# name: (result, arguments); a result of None with an error at the end is checked.
_FUNCTIONS = {
    "ist_version": (_s, []),
    "ist_device_list": (c.c_int, [DEVICE_VISITOR, _p, _error]),
    "ist_driver_list": (c.c_int, [DRIVER_VISITOR, _p, _error]),
    "ist_plugin_load": (c.c_int, [_s, _error]),
    "ist_device_open": (c.c_int, [_s, _p, _p, _error]),
    "ist_device_release": (None, [_p]),
    "ist_device_name": (_s, [_p]),
    "ist_device_fact_count": (_size, [_p]),
    "ist_device_fact": (c.c_int, [_p, _size, _p, _p, _error]),
    "ist_device_alloc": (c.c_int, [_p, c.c_int, _u64, _p, _error]),
    "ist_device_free": (None, [_p, _p]),
    "ist_device_copy": (c.c_int, [_p, _p, c.c_int, _p, c.c_int, _u64, _error]),
    "ist_device_memory": (c.c_int, [_p, _p, _error]),
    "ist_device_copy_from": (c.c_int, [_p, _p, _p, _p, _u64, _error]),
    "ist_device_native": (c.c_int, [_p, _p, _p, _error]),
    "ist_device_counters": (c.c_int, [_p, COUNTER_VISITOR, _p, _error]),
    "ist_device_reset_counters": (c.c_int, [_p, _error]),
    "ist_program_load": (c.c_int, [_s, _p, _i32, _p, _error]),
    "ist_program_load_memory": (c.c_int, [_p, _size, _p, _i32, _p, _error]),
    "ist_program_release": (None, [_p]),
    "ist_program_remark_count": (_size, [_p]),
    "ist_program_remark": (_s, [_p, _size]),
    "ist_program_info": (None, [_p, _p]),
    "ist_program_variant": (c.c_int, [_p, _u32, _p, _error]),
    "ist_program_variant_fact": (c.c_int, [_p, _u32, _u32, _p, _p, _error]),
    "ist_program_choose": (c.c_int, [_p, _p, _p, VARIANT_VISITOR, _p, _error]),
    "ist_program_find_function": (c.c_int, [_p, _s, _p, _error]),
    "ist_program_function": (c.c_int, [_p, _u32, _p, _error]),
    "ist_program_symbol": (c.c_int, [_p, _u32, _u32, _p, _error]),
    "ist_program_input": (c.c_int, [_p, _u32, _u32, _p, _error]),
    "ist_program_output": (c.c_int, [_p, _u32, _u32, _p, _error]),
    "ist_program_output_shapes": (c.c_int, [_p, _u32, _p, _size, _p, _size, _error]),
    "ist_session_create": (c.c_int, [_p, _p, _p, _error]),
    "ist_session_destroy": (None, [_p]),
    "ist_session_bind": (c.c_int, [_p, _s, _p, _error]),
    "ist_session_native": (c.c_int, [_p, _p, _p, _error]),
    "ist_session_get_counters": (None, [_p, _p]),
    "ist_session_cancel": (None, [_p]),
    "ist_session_set_timeout": (None, [_p, _u64]),
    "ist_call": (c.c_int, [_p, _s, _p, _size, _p, _size, _error]),
    "ist_tensor_from_dlpack": (c.c_int, [_p, _p, _p, _error]),
    "ist_tensor_from_dlpack_versioned": (c.c_int, [_p, _p, _p, _error]),
    "ist_tensor_to_dlpack": (c.c_int, [_p, _p, RELEASE, _p, _p, _error]),
    "ist_tensor_to_dlpack_versioned": (c.c_int, [_p, _p, RELEASE, _p, _u64, _p, _error]),
}


def _candidates():
    if os.environ.get("ISTHMUS_LIBRARY"):
        yield os.environ["ISTHMUS_LIBRARY"]  # and nothing else
        return
    here = os.path.dirname(os.path.abspath(__file__))
    for name in ("libisthmus.so", "libisthmus.so.0"):
        yield os.path.join(here, name)
        # <prefix>/lib/python/isthmus of an installed tree, and virtual environments.
        yield os.path.join(here, "..", "..", name)
        yield os.path.join(sys.prefix, "lib", name)
    yield "libisthmus.so.0"  # where the dynamic linker looks


def _load():
    tried = []
    for path in _candidates():
        if os.path.isabs(path) and "ISTHMUS_LIBRARY" not in os.environ and not os.path.exists(path):
            continue
        try:
            return c.CDLL(path), path
        except OSError as e:
            tried.append(f"{path}: {e}")
    raise ImportError("libisthmus was not found; name it with ISTHMUS_LIBRARY=/path/to/libisthmus.so\n" + "\n".join(tried))


_library, _path = _load()
for _name, (_result, _arguments) in _FUNCTIONS.items():
    _function = getattr(_library, _name)
    _function.restype, _function.argtypes = _result, _arguments


def library_path():
    """The libisthmus that is used."""
    return os.path.abspath(_path) if os.path.exists(_path) else _path


def version():
    return _library.ist_version().decode()


def call(name, *arguments):
    """Calls a function that returns a status; raises Error unless that is OK. Releases the GIL."""
    error = ErrorRecord()
    status = getattr(_library, name)(*arguments, error)
    if status:
        raise Error(status, error.message.decode(errors="replace"))


def native(name, handle):
    """(kind, address) of the vendor's own object behind a device or a session."""
    kind, address = c.c_char_p(), c.c_void_p()
    call(name, handle, c.byref(kind), c.byref(address))
    return kind.value.decode(), address.value


def raw(name):
    """A function that cannot fail."""
    return getattr(_library, name)
