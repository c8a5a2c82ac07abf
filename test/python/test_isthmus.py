"""The Python package, on a program written by hand and on compiled ONNX models.

    test_isthmus.py BIN LIBRARY [FAKE_CUDA]
"""
import concurrent.futures
import gc
import os
import subprocess
import sys
import tempfile
import threading
import unittest

FAKE_CUDA = sys.argv.pop(3) if len(sys.argv) > 3 else ""
LIBRARY, BIN = sys.argv.pop(), sys.argv.pop()
SIM_GPU = os.path.join(os.path.dirname(LIBRARY), "libisthmus-driver-sim-gpu.so")
os.environ["ISTHMUS_LIBRARY"] = LIBRARY
os.environ["ISTHMUS_ISTC"] = os.path.join(BIN, "istc")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

import numpy as np

import isthmus

WORK = tempfile.TemporaryDirectory()


def path(name):
    return os.path.join(WORK.name, name)


def sample(kind="add"):
    """y = (x + 2) * 3 for f32[n], n in 1..1000."""
    file = path(kind + ".ist")
    if not os.path.exists(file):
        subprocess.run([os.path.join(BIN, "isthmus-sample-artifact"), file] + ([] if kind == "add" else [kind]), check=True)
    return file


def onnx_model(name, nodes, inputs, outputs):
    import onnx
    from onnx import helper

    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info(*i) for i in inputs], [helper.make_tensor_value_info(*o) for o in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    onnx.save(model, path(name + ".onnx"))
    return path(name + ".onnx")


class Call(unittest.TestCase):
    def setUp(self):
        self.f = isthmus.load(sample())

    def test_by_position_by_name_and_types(self):
        x = np.array([1, 2, 3], np.float32)
        want = np.array([9, 12, 15], np.float32)
        for y in (self.f(x), self.f(x=x), self.f([1, 2, 3]), self.f.main(x), self.f["main"](x=x)):
            self.assertIsInstance(y, np.ndarray)
            np.testing.assert_array_equal(y, want)
        np.testing.assert_array_equal(self.f(np.arange(10, dtype=np.float32)[::3]), [6, 15, 24, 33])
        read_only = x.copy()
        read_only.flags.writeable = False
        np.testing.assert_array_equal(self.f(read_only), want)

    def test_results_are_the_callers(self):
        a = self.f(np.ones(100, np.float32))
        b = self.f(np.zeros(100, np.float32))
        self.assertEqual((a[0], b[0], a.flags.writeable), (9, 6, True))

    def test_descriptions(self):
        self.assertEqual(self.f.inputs[0][:3], ("x", "float32", ("n",)))
        self.assertEqual(self.f.outputs[0][:3], ("y", "float32", ("n",)))
        self.assertEqual(self.f.main.symbols, {"n": (1, 1000, 1)})
        self.assertEqual((self.f.info["function_count"], self.f.remarks), (1, []))
        self.assertIn("main", repr(self.f.main))

    def test_errors(self):
        with self.assertRaises(isthmus.Error) as e:
            self.f(np.zeros(3, np.float64))
        self.assertEqual(e.exception.code, isthmus.Status.INVALID_ARGUMENT)
        self.assertIn("convert it", str(e.exception))
        with self.assertRaisesRegex(isthmus.Error, "1..1000"):
            self.f(np.zeros(1001, np.float32))
        with self.assertRaisesRegex(isthmus.Error, "no type here"):
            self.f(np.zeros(3, np.complex64))
        with self.assertRaisesRegex(isthmus.Error, "byte order"):
            self.f(np.zeros(3, ">f4"))
        with self.assertRaisesRegex(TypeError, "needs input 'x'"):
            self.f()
        with self.assertRaisesRegex(TypeError, "no input 'z'; it has: x"):
            self.f(z=1)
        with self.assertRaisesRegex(TypeError, "twice"):
            self.f([1], x=[1])
        with self.assertRaisesRegex(KeyError, "main"):
            self.f["other"]
        with self.assertRaises(isthmus.Error) as e:
            isthmus.load(path("nothing.ist"))
        self.assertEqual(e.exception.code, isthmus.Status.NOT_FOUND)
        with self.assertRaises(isthmus.Error) as e:
            isthmus.load(b"not an artifact")
        self.assertEqual(e.exception.code, isthmus.Status.DATA_LOSS)

    def test_from_bytes(self):
        with open(sample(), "rb") as file:
            f = isthmus.load(file.read())
        gc.collect()
        self.assertEqual(f([1])[0], 9)

    def test_bound(self):
        x = np.array([1, 2, 3], np.float32)
        call = self.f.main.bound(x)
        call()
        np.testing.assert_array_equal(call.results()[0], [9, 12, 15])
        x[:] = 0
        call()
        np.testing.assert_array_equal(call.results()[0], [6, 6, 6])

    def test_threads_have_sessions(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for n, y in zip(range(1, 400), pool.map(lambda n: self.f(np.full(n, n, np.float32)), range(1, 400))):
                np.testing.assert_array_equal(y, np.full(n, 3 * n + 6, np.float32))
        sessions = []
        threads = [threading.Thread(target=lambda: (self.f([1]), sessions.append(self.f._session()))) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len(set(map(id, sessions))), 3)

    def test_a_session_of_its_own(self):
        s = self.f.session()
        s.set_timeout(60)
        self.assertEqual(s(x=[1])[0], 9)
        self.assertEqual(s.call("main", [2])[0], 12)
        s.set_timeout(1e-9)
        with self.assertRaises(isthmus.Error) as e:
            s([1])
        self.assertEqual(e.exception.code, isthmus.Status.DEADLINE_EXCEEDED)
        s.set_timeout(None)
        s.bind("x", np.array([5], np.float32))
        self.assertEqual(s()[0], 21)
        self.assertEqual(s([1])[0], 9)
        s.bind("x", None)
        with self.assertRaisesRegex(TypeError, "needs input 'x'"):
            s()


class States(unittest.TestCase):
    def setUp(self):
        self.f = isthmus.load(sample("decode"))

    def test_two_functions_over_one_cache(self):
        self.assertEqual(self.f["decode"].inputs[2].inout, "next")
        for cache in (np.zeros(256, np.float32), self.f.device.put(np.zeros(256, np.float32))):
            s = self.f.session()
            s.bind("cache", cache)
            y = s.call("prefill", [1, 2, 3], [0])
            np.testing.assert_array_equal(y["y"], [2, 4, 6])
            self.assertIs(y["next"], cache)
            np.testing.assert_array_equal(s.call("decode", [4], at=[3])["y"], [2, 4, 6, 8])
            values = cache if isinstance(cache, np.ndarray) else cache.numpy()
            np.testing.assert_array_equal(values[:5], [1, 2, 3, 4, 0])

    def test_what_is_written_must_be_writeable(self):
        cache = np.zeros(512, np.float32)
        for bad in (cache[::2], np.broadcast_to(np.float32(0), 256)):
            with self.assertRaisesRegex(isthmus.Error, "written in place"):
                self.f["decode"]([1], [0], bad)
        room = isthmus.State(cache, (256,))
        y = self.f["decode"]([7], [0], room)
        self.assertEqual((y["next"].shape, cache[0]), ((256,), 7))
        self.assertTrue(np.shares_memory(y["next"], cache))


class Dlpack(unittest.TestCase):
    def setUp(self):
        self.f = isthmus.load(sample())

    class Foreign:
        """An array of another library, that knows only the older protocol or both."""

        def __init__(self, array, old):
            self.array, self.old = array, old

        def __dlpack__(self, **keywords):
            if self.old and keywords:
                raise TypeError("unexpected keyword")
            return self.array.__dlpack__(**keywords)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    def test_in(self):
        x = np.array([1, 2, 3], np.float32)
        for old in (False, True):
            np.testing.assert_array_equal(self.f(self.Foreign(x, old)), [9, 12, 15])
        with self.assertRaisesRegex(isthmus.Error, "not dense"):
            self.f(self.Foreign(np.zeros(10, np.float32)[::2], False))
        with self.assertRaisesRegex(isthmus.Error, "no type here for DLPack's code 5"):
            self.f(self.Foreign(np.zeros(10, np.complex64), False))

    def test_in_is_given_back(self):
        x = np.zeros(100000, np.float32)[:10]
        count = sys.getrefcount(x.base)
        for _ in range(100):
            self.f(self.Foreign(x, False))
        gc.collect()
        self.assertEqual(sys.getrefcount(x.base), count)

    def test_out(self):
        y = self.f([1, 2, 3], memory="device")
        self.assertEqual((y.dtype, y.shape, y.__dlpack_device__()), ("float32", (3,), (1, 0)))
        np.testing.assert_array_equal(y.numpy(), [9, 12, 15])
        np.testing.assert_array_equal(self.f(y), [33, 42, 51])
        other = np.from_dlpack(y)
        del y
        gc.collect()
        junk = [self.f.device.empty((3,)) for _ in range(50)]
        np.testing.assert_array_equal(other, [9, 12, 15])
        del other, junk
        used = self.f.device.memory["used"]
        for _ in range(100):
            np.from_dlpack(self.f([1, 2, 3], memory="device"))
            self.f([1, 2, 3], memory="device").__dlpack__()  # a capsule that nobody takes
        gc.collect()
        self.assertEqual(self.f.device.memory["used"], used)


class Devices(unittest.TestCase):
    def test_list(self):
        self.assertIn("cpu", [name for name, _ in isthmus.devices()])
        self.assertIn(("cpu", 1, None), isthmus.drivers())
        with self.assertRaises(isthmus.Error) as e:
            isthmus.open_device("nothing:3")
        self.assertEqual(e.exception.code, isthmus.Status.NOT_FOUND)
        with self.assertRaisesRegex(isthmus.Error, "nowhere.so"):
            isthmus.load_plugin("/nowhere.so")
        self.assertIn("cpu.arch", isthmus.open_device("cpu").facts)

    def test_memory(self):
        d = isthmus.Device("cpu", memory_limit=10000)
        t = d.put(np.arange(6, dtype=np.int64).reshape(2, 3))
        self.assertEqual((t.shape, t.dtype, t.nbytes, d.memory["used"]), ((2, 3), "int64", 48, 48))
        np.testing.assert_array_equal(t.numpy(), [[0, 1, 2], [3, 4, 5]])
        with self.assertRaises(isthmus.Error) as e:
            d.empty((10000,))
        self.assertEqual(e.exception.code, isthmus.Status.RESOURCE_EXHAUSTED)
        del t
        self.assertEqual(d.memory["used"], 0)
        self.assertEqual(d.put(np.float32(3)).numpy(), 3)
        self.assertEqual(isthmus.load(sample(), device=d)([1])[0], 9)

    def test_between_devices(self):
        a, b = isthmus.Device("cpu"), isthmus.Device("cpu")
        t = b.put(a.put(np.float32([1, 2, 3])))
        np.testing.assert_array_equal(t.numpy(), [1, 2, 3])
        self.assertIs(t.device, b)

    def test_what_the_cpu_does_not_have(self):
        d, s = isthmus.Device("cpu"), isthmus.load(sample()).session()
        for ask in (lambda: d.native, d.counters, d.reset_counters, lambda: s.native,
                    lambda: isthmus.Device("cpu", native=("cuda.context", 16)),
                    lambda: isthmus.load(sample()).session(native=("cuda.stream", 16))):
            with self.assertRaises(isthmus.Error) as e:
                ask()
            self.assertEqual(e.exception.code, isthmus.Status.UNAVAILABLE)

    def test_of_a_vendor(self):
        if not FAKE_CUDA:
            self.skipTest("built without the cuda driver")
        ask = ("import isthmus; d = isthmus.Device('cuda:0'); t = d.put(isthmus.Device('cpu').put([1, 2])); "
               "kind, address = d.native; print(kind, address > 0, t.numpy().tolist()); "
               "e = isthmus.Device('cuda:0', native=d.native); print(e.native == d.native)")
        done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, env=dict(
            os.environ, ISTHMUS_CUDA_LIBRARY=FAKE_CUDA, PYTHONPATH=sys.path[0]))
        self.assertEqual(done.stdout, "cuda.context True [1, 2]\nTrue\n", done.stderr)

    def test_counters(self):
        if not os.path.exists(SIM_GPU) or not os.access(os.environ["ISTHMUS_ISTC"], os.X_OK):
            self.skipTest("no simulated GPUs in this build")
        from onnx import TensorProto, helper

        model = onnx_model("counted", [helper.make_node("Relu", ["x"], ["y"])], [("x", TensorProto.FLOAT, [3])],
                           [("y", TensorProto.FLOAT, [3])])
        isthmus.load_plugin(SIM_GPU)
        f = isthmus.load(isthmus.compile(model, target="nvidia:sm_80"), device="sim:sm_80")
        for _ in range(2):
            np.testing.assert_array_equal(f(np.float32([-1, 0, 2])), [0, 0, 2])
        (kernel, counters), = f.device.counters().items()
        self.assertEqual((kernel[:2], counters["launches"]), ("k_", 2))
        f.device.reset_counters()
        self.assertEqual(f.device.counters(), {})

    def test_variants(self):
        p = isthmus.inspect(sample())
        self.assertEqual([(v.target, v.format) for v in p.variants], [("cpu:test", "elf")])
        self.assertEqual(p.choose("cpu", "elf", {"cpu.arch": "x86_64"}), 0)
        why = {}
        with self.assertRaises(isthmus.Error) as e:
            p.choose("nvidia", "ptx,cubin", {"nvidia.features": "sm_80"}, why)
        self.assertEqual(e.exception.code, isthmus.Status.UNAVAILABLE)
        self.assertIn("cpu", why[0])
        self.assertIn("no device", repr(p))
        with self.assertRaises(isthmus.Error):
            p([1])

    def test_counters_of_a_session(self):
        s = isthmus.load(sample()).session()
        for _ in range(3):
            s([1])
        self.assertEqual((s.counters["calls"], s.counters["recordings"]), (3, 1))
        limited = isthmus.load(sample()).session(memory_limit=1000)
        with self.assertRaises(isthmus.Error) as e:
            limited(np.ones(1000, np.float32))
        self.assertEqual(e.exception.code, isthmus.Status.RESOURCE_EXHAUSTED)


@unittest.skipUnless(os.access(os.environ["ISTHMUS_ISTC"], os.X_OK), "no compiler in this build")
class Compile(unittest.TestCase):
    def test_several_results_and_types(self):
        from onnx import TensorProto, helper

        model = onnx_model(
            "two",
            [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Less", ["a", "b"], ["less"]),
             helper.make_node("Cast", ["a"], ["low"], to=TensorProto.BFLOAT16),
             helper.make_node("NonZero", ["less"], ["where"])],
            [("a", TensorProto.FLOAT, ["n", 2]), ("b", TensorProto.FLOAT, ["n", 2])],
            [("sum", TensorProto.FLOAT, ["n", 2]), ("less", TensorProto.BOOL, ["n", 2]),
             ("low", TensorProto.BFLOAT16, ["n", 2]), ("where", TensorProto.INT64, [2, "k"])])
        artifact = isthmus.compile(model, shapes={"n": "1..8"})
        self.assertEqual(artifact, path("two.ist"))
        f = isthmus.load(artifact)
        a, b = np.array([[1, 5], [3, 3]], np.float32), np.array([[2, 4], [3, 9]], np.float32)
        y = f(b=b, a=a)
        self.assertEqual(y.names, ("sum", "less", "low", "where"))
        np.testing.assert_array_equal(y["sum"], a + b)
        np.testing.assert_array_equal(y[1], a < b)
        self.assertEqual((y[1].dtype, y["low"].dtype.name), (np.dtype(bool), "bfloat16"))
        np.testing.assert_array_equal(y.low if hasattr(y, "low") else y["low"].astype(np.float32), a)
        np.testing.assert_array_equal(y["where"], [[0, 1], [0, 1]])  # its size depends on values
        self.assertEqual(sorted(y.asdict()), ["less", "low", "sum", "where"])
        total, *_ = f(a, b)
        np.testing.assert_array_equal(total, a + b)
        with self.assertRaises(isthmus.Error):
            f(np.zeros((9, 2), np.float32), np.zeros((9, 2), np.float32))
        with self.assertRaisesRegex(KeyError, "less"):
            y["more"]

    def test_errors_have_codes(self):
        with open(path("bad.onnx"), "wb") as file:
            file.write(b"no model")
        with self.assertRaises(isthmus.CompileError) as e:
            isthmus.compile(path("bad.onnx"))
        self.assertTrue(e.exception.codes, str(e.exception))
        from onnx import TensorProto, helper

        model = onnx_model("relu", [helper.make_node("Relu", ["x"], ["y"])], [("x", TensorProto.FLOAT, [3])],
                           [("y", TensorProto.FLOAT, [3])])
        with self.assertRaisesRegex(isthmus.CompileError, "pdp"):
            isthmus.compile(model, target="pdp:11")
        # The example, as a user runs it.
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
        done = subprocess.run([sys.executable, os.path.join(root, "examples", "model.py"), model], capture_output=True,
                              text=True, env=dict(os.environ, PYTHONPATH=os.path.join(root, "python")))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("y: float32[3]", done.stdout)
        output = path("elsewhere.ist")
        self.assertEqual(isthmus.compile(model, target=["cpu:native"], output=output), output)
        np.testing.assert_array_equal(isthmus.load(output)([-1, 0, 2]), [0, 0, 2])


if __name__ == "__main__":
    unittest.main(verbosity=1)
