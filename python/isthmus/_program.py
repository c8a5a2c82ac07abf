"""Programs, their functions, and sessions."""

import collections
import ctypes as c
import os
import threading

import numpy as np

from . import _capi
from ._capi import DTYPES, Error, Status, TensorStruct, call, raw
from ._device import open_device
from ._tensor import Borrowed, State, Tensor, aligned_empty, dtype_index, fill, fill_numpy, numpy_dtype

TensorInfo = collections.namedtuple("TensorInfo", "name dtype shape inout")
TensorInfo.__doc__ = """An input or output. `shape` has sizes, names of symbolic dims, and None where the program computes
the size. `inout` is the name of the output that is written in an input's place, or of that input, else None."""


class Outputs(tuple):
    """Several results: a tuple that is also indexed by name."""

    def __new__(cls, values, names):
        self = super().__new__(cls, values)
        self.names = tuple(names)
        return self

    def __getitem__(self, key):
        if isinstance(key, str):
            if key not in self.names:
                raise KeyError(f"{key!r}; there are: {', '.join(self.names)}")
            key = self.names.index(key)
        return super().__getitem__(key)

    def asdict(self):
        return dict(zip(self.names, self))


class Session:
    """What one call at a time needs. Programs make one for each thread; make another to have state of your own."""

    def __init__(self, program, native=None, memory_limit=0):
        """`native` is a queue to work on, such as ("cuda.stream", address); it stays the caller's."""
        self.program, self._handle, self._bound = program, c.c_void_p(), {}
        self._lock = threading.Lock()
        kind, address = native or (None, None)
        options = _capi.SessionOptions(c.sizeof(_capi.SessionOptions), native_kind=kind and kind.encode(), native=address,
                                       memory_limit=memory_limit)
        call("ist_session_create", program._handle, c.byref(options), c.byref(self._handle))

    def __del__(self):
        if getattr(self, "_handle", None):
            raw("ist_session_destroy")(self._handle)

    def cancel(self):
        """Makes the call that is running, if any, end with ABORTED. Any thread."""
        raw("ist_session_cancel")(self._handle)

    def set_timeout(self, seconds):
        """Calls that take longer end with DEADLINE_EXCEEDED; None: they may take for ever."""
        raw("ist_session_set_timeout")(self._handle, int((seconds or 0) * 1e9))

    @property
    def native(self):
        """The vendor's own queue behind it: work given to it comes in the order of the session's calls."""
        return _capi.native("ist_session_native", self._handle)

    @property
    def counters(self):
        """{"calls", "replays", "recordings", "re_records", "host_waits", "launches", "bytes", "high"}"""
        counters = _capi.SessionCounters(c.sizeof(_capi.SessionCounters))
        raw("ist_session_get_counters")(self._handle, c.byref(counters))
        return {name: getattr(counters, name) for name, _ in counters._fields_[1:]}

    def bind(self, name, tensor):
        """Gives the session `tensor` for all inputs called `name` that calls leave out: state, such as a KV cache.

        It is used in place and kept; None ends that.
        """
        if tensor is None:
            call("ist_session_bind", self._handle, name.encode(), None)
            self._bound.pop(name, None)
            return
        struct = TensorStruct()
        kept = self.program._describe(struct, tensor, None, name, True)
        call("ist_session_bind", self._handle, name.encode(), c.byref(struct))
        self._bound[name] = kept

    def __call__(self, *args, **kwargs):
        return self.program.main._run(self, args, kwargs)

    def call(self, function, *args, **kwargs):
        return self.program[function]._run(self, args, kwargs)


class Function:
    """One function of a program: callable, with `inputs` and `outputs` described."""

    def __init__(self, program, index):
        self.program, self._index = program, index
        info, tensor, symbol = _capi.FunctionInfo(), _capi.TensorInfo(), _capi.SymbolInfo()
        call("ist_program_function", program._handle, index, c.byref(info))
        self.name, self._name, self.host_waits = info.name.decode(), info.name, info.host_waits
        self.symbols = {}
        for i in range(info.symbol_count):
            call("ist_program_symbol", program._handle, index, i, c.byref(symbol))
            self.symbols[symbol.name.decode()] = (symbol.min, symbol.max, symbol.multiple)
        names = list(self.symbols)

        def described(query, n):
            for i in range(n):
                call(query, program._handle, index, i, c.byref(tensor))
                shape = tuple(d.size if d.size >= 0 else names[d.symbol] if d.symbol >= 0 else None
                              for d in tensor.dims[: tensor.rank])
                yield TensorInfo(tensor.name.decode(), DTYPES[tensor.dtype], shape, tensor.inout)

        inputs = list(described("ist_program_input", info.input_count))
        outputs = list(described("ist_program_output", info.output_count))
        self._inout = [o.inout for o in outputs]
        self.inputs = [t._replace(inout=outputs[t.inout].name if t.inout >= 0 else None) for t in inputs]
        self.outputs = [t._replace(inout=inputs[t.inout].name if t.inout >= 0 else None) for t in outputs]
        self._shapes = {}  # of outputs, by those of inputs

    def __call__(self, *args, **kwargs):
        """Calls it with this thread's session. Inputs come in order or by name; inputs that are bound are left out.

        `memory="device"` leaves results in device memory, as Tensors. One result is returned as it is, several as
        Outputs. An input that is `inout` is written.
        """
        return self._run(self.program._session(), args, kwargs)

    def bound(self, *args, **kwargs):
        """The same call again and again: see Bound."""
        return Bound(self, self._arguments(args, kwargs, {}))

    def _arguments(self, args, kwargs, bound):
        if len(args) > len(self.inputs):
            raise TypeError(f"{self.name}() takes {len(self.inputs)} inputs and got {len(args)}")
        given = dict(zip((t.name for t in self.inputs), args))
        for name, value in kwargs.items():
            if name in given:
                raise TypeError(f"{self.name}() got input {name!r} twice")
            given[name] = value
        known = {t.name for t in self.inputs}
        for name in given:
            if name not in known:
                raise TypeError(f"{self.name}() has no input {name!r}; it has: {', '.join(t.name for t in self.inputs)}")
        missing = [t.name for t in self.inputs if t.name not in given and t.name not in bound]
        if missing:
            raise TypeError(f"{self.name}() needs input {', '.join(map(repr, missing))}")
        structs, kept = (TensorStruct * len(self.inputs))(), []
        for struct, info in zip(structs, self.inputs):
            if info.name in given:
                kept.append(self.program._describe(struct, given[info.name], info.dtype, info.name, bool(info.inout)))
            else:
                kept.append(bound[info.name])  # `data` is NULL: what is bound
        return structs, kept

    def _output_shapes(self, structs):
        """Dims of all outputs, or None where some depend on values."""
        key = tuple(tuple(s.dims[: s.rank]) for s in structs)
        if key not in self._shapes:
            outputs = (TensorStruct * len(self.outputs))()
            try:
                call("ist_program_output_shapes", self.program._handle, self._index, structs, len(structs), outputs,
                     len(outputs))
                found = [tuple(o.dims[: o.rank]) for o in outputs]
            except Error as e:
                if e.code != Status.UNAVAILABLE:
                    raise
                found = None
            if len(self._shapes) >= 256:
                self._shapes.clear()
            self._shapes[key] = found
        return self._shapes[key]

    def _run(self, session, args, kwargs):
        memory = kwargs.pop("memory", "host")
        if memory not in ("host", "device"):
            raise ValueError(f"memory={memory!r}: write 'host' or 'device'")
        with session._lock:
            structs, kept = self._arguments(args, kwargs, session._bound)
            outputs = (TensorStruct * len(self.outputs))()
            everything = all(s.data for s in structs)
            shapes = self._output_shapes(structs) if everything else None
            arrays = [None] * len(outputs)
            for i, shape in enumerate(shapes or ()):
                if self._inout[i] >= 0:
                    continue
                if memory == "device":
                    arrays[i] = Tensor(self.program.device, shape, self.outputs[i].dtype)
                    arrays[i].fill_struct(outputs[i])
                else:
                    arrays[i] = aligned_empty(shape, numpy_dtype(dtype_index(self.outputs[i].dtype)))
                    fill_numpy(outputs[i], arrays[i])
            call("ist_call", session._handle, self._name, structs, len(structs), outputs, len(outputs))
            results = [array if array is not None else self._taken(i, outputs[i], kept, memory)
                       for i, array in enumerate(arrays)]
        return results[0] if len(results) == 1 else Outputs(results, (t.name for t in self.outputs))

    def _taken(self, i, struct, kept, memory):
        """A result that the runtime put somewhere: in an input, or in memory of the session's, which is copied."""
        if self._inout[i] >= 0:
            given, shape = kept[self._inout[i]], tuple(struct.dims[: struct.rank])
            return given.array(shape) if isinstance(given, State) else given[1] if isinstance(given, tuple) else given
        shape = tuple(struct.dims[: struct.rank])
        if memory == "device":
            result = Tensor(self.program.device, shape, self.outputs[i].dtype)
            to, kind = result._data, _capi.DEVICE
        else:
            result = aligned_empty(shape, numpy_dtype(struct.dtype))
            to, kind = result.ctypes.data or None, _capi.HOST
        if struct.bytes:
            call("ist_device_copy", self.program.device._handle, to, kind, struct.data, struct.memory, struct.bytes)
        return result

    def __repr__(self):
        return f"<isthmus function {self.name}({', '.join(t.name for t in self.inputs)})>"


class Bound:
    """A call with its arguments looked at once, in a session of its own: the fastest way to call from Python.

    The input arrays are read anew each time; results stay in memory that the next call overwrites.
    """

    def __init__(self, function, arguments):
        self._function, (self._inputs, self._kept) = function, arguments
        self._session = Session(function.program)
        self._outputs = (TensorStruct * len(function.outputs))()
        self._error = _capi.ErrorRecord()
        self._arguments = (self._session._handle, function._name, self._inputs, len(self._inputs), self._outputs,
                           len(self._outputs), self._error)
        self._call = raw("ist_call")

    def __call__(self):
        """Calls, and leaves the results where they are."""
        if self._call(*self._arguments):
            raise Error(self._error.code, self._error.message.decode(errors="replace"))

    def results(self):
        """Copies of the last call's results, in order."""
        return [self._function._taken(i, struct, self._kept, "host") for i, struct in enumerate(self._outputs)]


Variant = collections.namedtuple("Variant", "target format facts")


class Program:
    """An artifact made ready for a device. Calling it calls `main`."""

    def __init__(self, artifact, device=None, variant=-1):
        """`device` False: for questions only, nothing is loaded."""
        self.device = None if device is False else open_device(device)
        self._handle, self._threads = c.c_void_p(), threading.local()
        on = self.device._handle if self.device else None
        if isinstance(artifact, (bytes, bytearray, memoryview)):
            self._bytes = np.frombuffer(artifact, np.uint8)  # kept: weights are used in place
            call("ist_program_load_memory", self._bytes.ctypes.data, self._bytes.nbytes, on, variant, c.byref(self._handle))
        else:
            call("ist_program_load", os.fsencode(artifact), on, variant, c.byref(self._handle))
        info = _capi.ArtifactInfo()
        raw("ist_program_info")(self._handle, c.byref(info))
        self.info = {name: value.decode(errors="replace") if isinstance(value, bytes) else value
                     for name, value in ((name, getattr(info, name)) for name, _ in info._fields_)}
        self.functions = {}
        for i in range(info.function_count):
            function = Function(self, i)
            if function.name != "init":
                self.functions[function.name] = function

    def __del__(self):
        if getattr(self, "_handle", None):
            raw("ist_program_release")(self._handle)

    @property
    def remarks(self):
        """Why variants were passed over, and such."""
        n = raw("ist_program_remark_count")(self._handle)
        return [raw("ist_program_remark")(self._handle, i).decode(errors="replace") for i in range(n)]

    @property
    def variants(self):
        """What the artifact has: [Variant(target, format, facts)]."""
        info, key, value, all = _capi.VariantInfo(), c.c_char_p(), c.c_char_p(), []
        for v in range(self.info["variant_count"]):
            call("ist_program_variant", self._handle, v, c.byref(info))
            facts = {}
            for i in range(info.fact_count):
                call("ist_program_variant_fact", self._handle, v, i, c.byref(key), c.byref(value))
                facts[key.value.decode()] = value.value.decode()
            all.append(Variant(info.target.decode(), info.format.decode(), facts))
        return all

    def choose(self, vendor, formats, facts, passed_over=None):
        """The index of the variant that such a device is given, which need not be at hand.

            program.choose("nvidia", "ptx,cubin", {"nvidia.features": "sm_80,ptx70"})

        `passed_over`, a dict, gets why each of the others does not fit. Error, UNAVAILABLE: none fits.
        """
        pairs = (c.c_char_p * (2 * len(facts)))(*(text.encode() for pair in facts.items() for text in pair))
        description = _capi.DeviceDescription(c.sizeof(_capi.DeviceDescription), vendor.encode(), formats.encode(), pairs,
                                              len(facts))
        reasons = {} if passed_over is None else passed_over
        visit = _capi.VARIANT_VISITOR(lambda _, v, why: reasons.update({v: why.decode(errors="replace")}))
        variant = c.c_uint32()
        call("ist_program_choose", self._handle, c.byref(description), c.byref(variant), visit, None)
        return variant.value

    def __getitem__(self, name):
        if name not in self.functions:
            raise KeyError(f"{name!r}; the program has: {', '.join(self.functions)}")
        return self.functions[name]

    @property
    def main(self):
        return self["main"]

    @property
    def inputs(self):
        return self.main.inputs

    @property
    def outputs(self):
        return self.main.outputs

    def __call__(self, *args, **kwargs):
        """See Function.__call__."""
        return self.main(*args, **kwargs)

    def session(self, native=None, memory_limit=0):
        """One of its own, for state (Session.bind), or on the caller's queue: see Session."""
        return Session(self, native, memory_limit)

    def _session(self):
        session = getattr(self._threads, "session", None)
        if session is None:
            session = self._threads.session = Session(self)
        return session

    def _describe(self, struct, thing, dtype, name, written):
        """Fills `struct` from what was given for input `name`, and returns what must be kept."""
        if isinstance(thing, Tensor):
            thing.fill_struct(struct)
            return thing
        if isinstance(thing, State):
            memory = self._describe(struct, thing.memory, dtype, name, True)
            fill(struct, struct.data, memory.nbytes, struct.dtype, thing.shape, _capi.HOST)
            return thing
        if not isinstance(thing, np.ndarray) and hasattr(thing, "__dlpack__"):
            borrowed = Borrowed(thing, self.device)
            if written and borrowed.read_only:
                raise Error(Status.INVALID_ARGUMENT, f"input {name!r} is written in place, and the tensor is read-only")
            s = borrowed.struct
            fill(struct, s.data or 64, s.capacity, s.dtype, s.dims[: s.rank], s.memory)
            return (borrowed, thing) if written else borrowed
        if not isinstance(thing, np.ndarray) and not isinstance(thing, np.generic) and dtype:
            thing = np.asarray(thing, numpy_dtype(dtype_index(dtype)))  # a number or a list has no type of its own
        array = np.asarray(thing)
        if not array.dtype.isnative:
            raise Error(Status.INVALID_ARGUMENT, f"input {name!r} is of another byte order; convert it")
        if written:
            if not (array.flags.c_contiguous and array.flags.writeable):
                raise Error(Status.INVALID_ARGUMENT,
                            f"input {name!r} is written in place, so it must be a writeable, contiguous array")
        elif not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        fill_numpy(struct, array)
        return array

    def __repr__(self):
        return f"<isthmus program {self.info['model'] or 'without a name'} on {self.device.name if self.device else 'no device'}>"


def inspect(artifact, variant=-1):
    """An artifact to be asked, without a device: it cannot be called."""
    return Program(artifact, False, variant)


def load(artifact, device=None, variant=-1):
    """Loads an artifact (a path, or its bytes) for a device (a Device, a name, or None for the default)."""
    return Program(artifact, device, variant)
