"""Devices."""

import ctypes as c
import os
import threading

from . import _capi
from ._capi import call, raw


class Device:
    """An open device. Ends when nothing refers to it, and not before its programs and tensors."""

    def __init__(self, name=None, memory_limit=0, native=None):
        """`name` is "cpu", "cuda:1" ...; None: ISTHMUS_DEVICE, else the first one.

        `native` is a context to work in, such as ("cuda.context", address); it stays the caller's.
        """
        self._handle = c.c_void_p()
        kind, address = native or (None, None)
        options = _capi.DeviceOptions(c.sizeof(_capi.DeviceOptions), kind and kind.encode(), address, memory_limit)
        call("ist_device_open", None if name is None else name.encode(), c.byref(options), c.byref(self._handle))

    def __del__(self):
        if getattr(self, "_handle", None):
            raw("ist_device_release")(self._handle)

    @property
    def name(self):
        return raw("ist_device_name")(self._handle).decode()

    @property
    def facts(self):
        """{"cpu.arch": "x86_64", ...}"""
        key, value, all = c.c_char_p(), c.c_char_p(), {}
        for i in range(raw("ist_device_fact_count")(self._handle)):
            call("ist_device_fact", self._handle, i, c.byref(key), c.byref(value))
            all[key.value.decode()] = value.value.decode()
        return all

    @property
    def memory(self):
        """{"available", "total", "used", "high", "limit"} in bytes."""
        info = _capi.MemoryInfo()
        call("ist_device_memory", self._handle, c.byref(info))
        return {name: getattr(info, name) for name, _ in info._fields_}

    @property
    def native(self):
        """The vendor's own context behind it, for other libraries: ("cuda.context", address)."""
        return _capi.native("ist_device_native", self._handle)

    def counters(self):
        """{kernel: {"launches": 3, ...}}: what launches cost, on devices that count, such as simulated GPUs."""
        all = {}
        visit = _capi.COUNTER_VISITOR(
            lambda _, kernel, counter, value: all.setdefault(kernel.decode(), {}).update({counter.decode(): value}))
        call("ist_device_counters", self._handle, visit, None)
        return all

    def reset_counters(self):
        call("ist_device_reset_counters", self._handle)

    def empty(self, shape, dtype="float32"):
        """A Tensor in the device's memory, with undefined contents."""
        from ._tensor import Tensor

        return Tensor(self, tuple(shape), dtype)

    def put(self, array):
        """A Tensor in the device's memory with the contents of an array, or of a Tensor of any device."""
        from ._tensor import Tensor

        return Tensor.copy_of(self, array)

    def __repr__(self):
        return f"isthmus.Device({self.name!r})"


_open, _lock = {}, threading.Lock()


def open_device(device=None):
    """A Device as it is, or the one of that name; the same as long as somebody uses it. None is the default one."""
    if isinstance(device, Device):
        return device
    import weakref

    name = device or os.environ.get("ISTHMUS_DEVICE") or None
    with _lock:
        known = _open.get(name)
        found = known() if known else None
        if found is None:
            found = Device(name)
            _open[name] = weakref.ref(found)
        return found


def devices():
    """[(name, description)] of all devices there are; opens none."""
    found = []
    visit = _capi.DEVICE_VISITOR(lambda _, name, text: found.append((name.decode(), text.decode(errors="replace"))))
    call("ist_device_list", visit, None)
    return found


def drivers():
    """[(name, number of devices, why there are none or None)]"""
    found = []
    visit = _capi.DRIVER_VISITOR(
        lambda _, name, count, why: found.append((name.decode(), count, why.decode(errors="replace") if why else None)))
    call("ist_driver_list", visit, None)
    return found


def load_plugin(path):
    """Makes the driver of a plug-in library openable by name."""
    call("ist_plugin_load", os.fspath(path).encode())
