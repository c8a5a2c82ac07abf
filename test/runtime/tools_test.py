"""ist-run, ist-info and ist-bench on a sample; standard library only."""
import json, os, struct, subprocess, sys, tempfile, unittest, unittest.mock, zipfile

BIN = sys.argv.pop(1)
FAKE_CUDA = sys.argv.pop(1)


def run(tool, *args, code=0):
    p = subprocess.run([os.path.join(BIN, tool), *args], capture_output=True, text=True)
    assert p.returncode == code, (p.args, p.returncode, p.stdout, p.stderr)
    return p.stdout if code == 0 else p.stdout + p.stderr


def save_npy(path, values, descr="<f4", fmt="f"):
    header = "{'descr': '%s', 'fortran_order': False, 'shape': (%d,), }" % (descr, len(values))
    header = header.ljust(117) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        f.write(struct.pack("<%d%s" % (len(values), fmt), *values))


def load_f32(path):
    data = open(path, "rb").read()
    start = 10 + struct.unpack("<H", data[8:10])[0]
    assert start % 64 == 0
    return list(struct.unpack("<%df" % ((len(data) - start) // 4), data[start:]))


class Tools(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.model, self.crash = self.path("a.ist"), self.path("crash.ist")
        run("isthmus-sample-artifact", self.model)
        run("isthmus-sample-artifact", self.crash, "crash")
        save_npy(self.path("x.npy"), [1, 2, 3])

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def test_artifact_is_a_zip_with_aligned_members(self):
        with zipfile.ZipFile(self.model) as z:
            self.assertIsNone(z.testzip())
            for m in z.infolist():
                self.assertEqual(m.compress_type, zipfile.ZIP_STORED)
                with open(self.model, "rb") as f:
                    f.seek(m.header_offset + 26)
                    name, extra = struct.unpack("<HH", f.read(4))
                self.assertEqual((m.header_offset + 30 + name + extra) % 65536, 0)

    def test_vendors_libraries_are_opened_when_asked_for(self):
        marker = self.path("opened")
        with unittest.mock.patch.dict(os.environ, ISTHMUS_CUDA_LIBRARY=FAKE_CUDA, ISTHMUS_FAKE_MARKER=marker,
                                      ISTHMUS_HIP_LIBRARY="/nowhere/libamdhip64.so"):
            run("ist-run", self.model, "--device=cpu", "--input=@" + self.path("x.npy"))
            run("ist-run", self.model, "--input=@" + self.path("x.npy"))
            self.assertFalse(os.path.exists(marker))
            listed = run("ist-run", "--list-devices")
            if "cuda" not in listed:
                self.skipTest("built without the cuda driver")
            self.assertTrue(os.path.exists(marker))
        self.assertRegex(listed, r"(?m)^cuda:1 +NVIDIA Fake 1 \(sm_90\), 1.0 GiB, GPU-11111111-1111-1111-1111-111111111111 0000:01:00.0$")
        if "\nhip" in listed:  # it is built
            self.assertRegex(listed, r"(?m)^hip +not available: .*/nowhere/libamdhip64.so.*install ROCm")

    def test_run(self):
        y = self.path("y.npy")
        for name in ("", "y="):
            run("ist-run", self.model, "--input=x=@" + self.path("x.npy"), "--output=" + name + "@" + y)
            self.assertEqual(load_f32(y), [9, 12, 15])
        self.assertIn("f32[3] min 9 max 15", run("ist-run", self.model, "--input=@" + self.path("x.npy")))
        self.assertIn("input 'x' (f32[n]) is missing", run("ist-run", self.model, code=1))
        save_npy(self.path("i.npy"), [1], "<i8", "q")
        self.assertIn("convert it", run("ist-run", self.model, "--input=@" + self.path("i.npy"), code=1))
        self.assertEqual(*(run("ist-run", self.model, "--random", "--seed=5", "--shape=n=9") for _ in "ab"))
        self.assertIn("it has: n", run("ist-run", self.model, "--random", "--shape=m=9", code=1))
        self.assertIn("cpu", run("ist-run", "--list-devices"))

    def test_batch_survives_a_crash(self):
        good = {"artifact": self.model, "inputs": [self.path("x.npy")], "outputs": [self.path("b.npy")]}
        cases = [good, {"artifact": self.crash}, {"artifact": "/nowhere.ist"},
                 dict(good, inputs=[]), good]
        with open(self.path("b.json"), "w") as f:
            json.dump(cases, f)
        out = run("ist-run", "--batch=" + self.path("b.json"), code=1)
        results = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([r["case"] for r in results], list(range(5)))
        self.assertEqual([r.get("code") for r in results],
                         [None, "CRASH", "NOT_FOUND", "INVALID_ARGUMENT", None])
        self.assertEqual(load_f32(self.path("b.npy")), [9, 12, 15])

    def test_trace(self):
        trace = self.path("trace.json")
        os.environ["ISTHMUS_TRACE"] = trace
        try:
            run("ist-run", self.model, "--random", "--shape=n=100", "--repeat=4")
        finally:
            del os.environ["ISTHMUS_TRACE"]
        with open(trace) as f:
            events = json.load(f)
        spans = [e for e in events if e["ph"] == "X"]
        calls = [e for e in spans if e["cat"] == "call"]
        self.assertEqual([(e["name"], e["args"]["detail"]) for e in calls], [("main", "OK")] * 4)
        launches = [e for e in spans if e["cat"] == "launch"]
        # The later calls are replays; they say as much.
        self.assertEqual([(e["name"], e["args"]["nodes"]) for e in launches],
                         [("add_f32", "Add_0"), ("scale_f32", "Mul_1")] * 4)
        # On the queue's track, within their calls; the tracks have names.
        tracks = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
        for i, e in enumerate(launches):
            self.assertIn("queue", tracks[e["tid"]])
            call = calls[i // 2]
            self.assertLessEqual(call["ts"], e["ts"])
            self.assertLessEqual(e["ts"] + e["dur"], call["ts"] + call["dur"] + 0.002)
        self.assertIn("module_load", [e["name"] for e in spans])
        # Also where the driver would have replayed the later calls as a whole.
        sim = os.path.join(BIN, "..", "lib", "libisthmus-driver-sim.so")
        if os.path.exists(sim):
            p = subprocess.run([os.path.join(BIN, "ist-run"), self.model, "--random", "--repeat=5", "--device=sim"],
                               env=dict(os.environ, ISTHMUS_TRACE=trace, ISTHMUS_PLUGIN_PATH=sim), capture_output=True)
            self.assertEqual(p.returncode, 0, p.stderr)
            with open(trace) as f:
                names = [e["name"] for e in json.load(f) if e.get("cat") == "launch"]
            self.assertEqual(names, ["add_f32", "scale_f32"] * 5)
        example = os.path.join(BIN, "example-async")
        if os.path.exists(example):
            subprocess.run([example, self.model], env=dict(os.environ, ISTHMUS_TRACE=trace), capture_output=True, check=True)
            with open(trace) as f:
                events = [e for e in json.load(f) if e["ph"] == "X"]
            self.assertEqual([e["args"]["detail"] for e in events if e["cat"] == "call"], ["begun"] * 2)
            self.assertEqual([e["args"]["detail"] for e in events if e["cat"] == "wait"], ["value 1 = OK", "value 2 = OK"])
        os.environ["ISTHMUS_TRACE"] = "/nowhere/trace.json"
        try:
            p = subprocess.run([os.path.join(BIN, "ist-run"), self.model, "--random"], capture_output=True, text=True)
        finally:
            del os.environ["ISTHMUS_TRACE"]
        self.assertEqual(p.returncode, 0)
        self.assertIn("cannot write '/nowhere/trace.json'", p.stderr)

    def test_a_trace_is_whole_after_a_crash(self):
        trace = self.path("trace.json")
        p = subprocess.run([os.path.join(BIN, "ist-run"), self.crash], capture_output=True,
                           env=dict(os.environ, ISTHMUS_TRACE=trace))
        self.assertLess(p.returncode, 0)
        with open(trace) as f:
            self.assertEqual(json.load(f)[0]["name"], "process_name")

    def test_check_shows_what_is_not_written(self):
        lazy, y = self.path("lazy.ist"), self.path("y.npy")
        run("isthmus-sample-artifact", lazy, "lazy")
        os.environ["ISTHMUS_CHECK"] = "1"
        try:
            run("ist-run", lazy, "--output=@" + y)
            values = load_f32(y)
            self.assertEqual(values[:4], [10, 20, 10, 20])
            self.assertTrue(all(v != v for v in values[4:]), values)
            run("ist-run", self.model, "--input=x=@" + self.path("x.npy"), "--output=@" + y)
            self.assertEqual(load_f32(y), [9, 12, 15])
        finally:
            del os.environ["ISTHMUS_CHECK"]

    def test_compare_of_other_shapes(self):
        unequal = self.path("unequal.ist")
        run("isthmus-sample-artifact", unequal, "unequal")
        said = run("ist-run", unequal, "--compare=reference", code=1)
        self.assertIn("f32[4], reference f32[100000]", said)

    def test_info(self):
        j = json.loads(run("ist-info", self.model, "--json", "--shape=n=100"))
        f = j["functions"][0]
        self.assertEqual(f["symbols"], [{"name": "n", "min": 1, "max": 1000, "multiple": 1}])
        self.assertEqual(f["outputs"][0]["type"], "f32[n]")
        self.assertEqual(f["memory"]["arena_bytes"], 448)
        self.assertEqual([l["nodes"] for l in f["launches"]], [["Add_0"], ["Mul_1"]])
        self.assertEqual([f["launches"][0]["work"][k] for k in ("flops", "read_bytes", "written_bytes", "bound")], [100, 800, 400, None])
        self.assertIsNone(f["launches"][1]["work"])
        self.assertIn("every variant fits", run("ist-info", self.model, "--why"))
        text = run("ist-info", self.model, "--kernels", "--shape=n=100")
        self.assertRegex(text, r"(?m)^ +kernel add_f32 .*\n +declined: rows: no reduction; tiles: too small\n +launched: main 0$")
        self.assertRegex(text, r"(?m)^ +launch 0 +add_f32 +100 FLOP +1.2 kB +0.08 FLOP/B +Add_0$")
        self.assertRegex(text, r"(?m)^ +launch 1 +scale_f32 +- +- +- +Mul_1$")
        self.assertIn("zip", run("ist-info", os.path.join(BIN, "ist-info"), code=1))

    def test_bench(self):
        j = json.loads(run("ist-bench", self.model, "--shape=n=100", "--profile", "--json", "--threads=1",
                           "--repetitions=3", "--min-time=0.01", "--warmup=0"))
        self.assertGreater(j["median_us"], 0)
        self.assertEqual(j["threads"], "1")
        self.assertAlmostEqual(sum(l["percent"] for l in j["launches"]), 100)
        # The work that the artifact knows, over the time; the rest is not guessed.
        add, scale = sorted(j["launches"], key=lambda l: l["launch"])
        self.assertEqual([add[k] for k in ("flops", "read_bytes", "written_bytes")], [100, 800, 400])
        self.assertAlmostEqual(add["gflops"], 100e-3 / add["median_us"])
        self.assertAlmostEqual(add["gbs"], 1.2 / add["median_us"])
        self.assertEqual({scale[k] for k in ("flops", "read_bytes", "gflops", "gbs", "roofline_percent", "bound")}, {None})
        roof = j["roofline"]
        self.assertEqual(roof["threads"], "1")
        self.assertGreater(roof["gflops"], 0.5)
        self.assertGreater(roof["gbs"], 0.1)
        bounds = {"compute": add["gflops"] / roof["gflops"], "memory": add["gbs"] / roof["gbs"]}
        self.assertEqual(add["bound"], max(bounds, key=bounds.get))
        self.assertAlmostEqual(add["roofline_percent"], 100 * max(bounds.values()))
        text = run("ist-bench", self.model, "--shape=n=100", "--profile", "--repetitions=1", "--min-time=0.01", "--warmup=0")
        self.assertRegex(text, r"this machine, measured now: [0-9.]+ GFLOP/s .* [0-9.]+ GB/s")
        self.assertRegex(text, r"(?m)^ .* [0-9.]+ +[0-9.]+ +[0-9.]+ (compute|memory) +add_f32 +Add_0$")
        self.assertRegex(text, r"(?m)^ .* 1 +- +- +- - +scale_f32 +Mul_1$")
        # Without --profile nothing is measured but the calls.
        j = json.loads(run("ist-bench", self.model, "--json", "--repetitions=1", "--min-time=0.01", "--warmup=0"))
        self.assertIsNone(j["roofline"])


unittest.main(verbosity=1)
