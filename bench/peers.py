"""One peer at one model, in a process of its own.

    peers.py compile PEER SPEC    makes what the peer runs; prints a JSON line
    peers.py serve PEER SPEC      loads it, then answers commands line by line

SPEC is a JSON file that bench.py writes. A peer whose compiler is part of its
runtime has nothing to compile; its time to load is its compile time.
"""

import json
import os
import re
import subprocess
import sys
import time

import numpy as np


def command(arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, errors="replace")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        pick = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
        pick = re.sub(r"\S*/", "", pick)[:300]  # without folders
        raise RuntimeError(f"{os.path.basename(arguments[0])}: {pick or done.returncode}")


class Isthmus:
    """The artifact of istc, called through libisthmus.so."""

    def compile(self, spec):
        artifact = os.path.join(spec["work"], "isthmus.ist")
        command([os.path.join(spec["build"], "bin", "istc"), spec["model"], "-o", artifact, "--target=cpu:native",
                 *(f"--shape={k}:{a}..{b}" for k, (a, b) in spec["shapes"].items())])
        return artifact

    def load(self, spec, feeds):
        os.environ["ISTHMUS_THREADS"] = str(spec["threads"])
        os.environ["ISTHMUS_LIBRARY"] = os.path.join(spec["build"], "lib", "libisthmus.so")
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
        import isthmus

        call = isthmus.load(os.path.join(spec["work"], "isthmus.ist"), device="cpu").main.bound(**feeds)
        return call, call.results


class OnnxRuntime:
    def load(self, spec, feeds):
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = spec["threads"]
        settings.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(spec["model"], settings, providers=["CPUExecutionProvider"])
        box = []

        def call():
            box[:] = session.run(None, feeds)

        return call, lambda: box


class OpenVino:
    """f32 asked for: on some CPUs its default is bf16."""

    def load(self, spec, feeds):
        import openvino

        core = openvino.Core()
        compiled = core.compile_model(spec["model"], "CPU", {
            "INFERENCE_NUM_THREADS": spec["threads"], "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32"})
        request = compiled.create_infer_request()
        names = {name: i for i, port in enumerate(compiled.inputs) for name in port.get_names()}
        arguments = {names[k]: v for k, v in feeds.items()}

        def call():
            request.infer(arguments, share_inputs=True, share_outputs=True)

        return call, lambda: [request.get_output_tensor(i).data for i in range(len(compiled.outputs))]


class Iree:
    FLAGS = ["--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu",
             "--iree-llvmcpu-target-cpu=host", "--iree-opt-level=O2"]

    def compile(self, spec):
        tools = os.path.dirname(sys.executable)
        mlir, artifact = (os.path.join(spec["work"], f"iree.{x}") for x in ("mlir", "vmfb"))
        command([os.path.join(tools, "iree-import-onnx"), spec["model"], "-o", mlir, "--opset-version", "17"])
        command([os.path.join(tools, "iree-compile"), mlir, "-o", artifact, *self.FLAGS])
        os.unlink(mlir)
        return artifact

    def load(self, spec, feeds):
        import iree.runtime as runtime

        runtime.flags.parse_flags(f"--task_topology_group_count={spec['threads']}")
        config = runtime.Config("local-task")
        context = runtime.SystemContext(config=config)
        module = runtime.VmModule.mmap(config.vm_instance, os.path.join(spec["work"], "iree.vmfb"))
        context.add_vm_module(module)
        name = next(n for n in module.function_names if not n.startswith("__") and not n.endswith("$async"))
        function = context.modules[module.name][name]
        arguments = [runtime.asdevicearray(config.device, feeds[n]) for n in spec["inputs"]]
        box = []

        def call():
            results = function(*arguments)
            box[:] = results if isinstance(results, (list, tuple)) else [results]

        return call, lambda: [np.asarray(r.to_host()) for r in box]


class Tvm:
    """Relax and its default CPU pipeline, without tuning."""

    def compile(self, spec):
        import onnx
        import tvm
        from tvm import relax
        from tvm.relax.frontend.onnx import from_onnx

        artifact = os.path.join(spec["work"], "tvm.so")
        cpu = tvm.get_global_func("target.llvm_get_system_cpu")()
        module = from_onnx(onnx.load(spec["model"]), keep_params_in_input=False)
        tvm.compile(module, target=tvm.target.Target({"kind": "llvm", "mcpu": cpu}),
                    relax_pipeline=relax.get_pipeline("default_build")).export_library(artifact)
        return artifact

    def load(self, spec, feeds):
        os.environ["TVM_NUM_THREADS"] = str(spec["threads"])
        import tvm
        from tvm import relax

        machine = relax.VirtualMachine(tvm.runtime.load_module(os.path.join(spec["work"], "tvm.so")), tvm.cpu())
        arguments = [tvm.runtime.tensor(feeds[n]) for n in spec["inputs"]]
        box = []

        def call():
            results = machine["main"](*arguments)
            box[:] = [results] if hasattr(results, "numpy") else list(results)

        return call, lambda: [r.numpy() for r in box]


PEERS = {"isthmus": Isthmus, "onnxruntime": OnnxRuntime, "openvino": OpenVino, "iree": Iree, "tvm": Tvm}
PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "iree": "iree-base-compiler", "tvm": "apache-tvm"}


def peak_memory():
    with open("/proc/self/status") as f:
        return int(next(line for line in f if line.startswith("VmHWM")).split()[1]) * 1024


def serve(peer, spec, say):
    feeds = dict(np.load(spec["feeds"]))
    feeds = {name: feeds[f"i{i}"] for i, name in enumerate(spec["inputs"])}
    begin = time.perf_counter()
    call, results = peer.load(spec, feeds)
    say({"loaded": time.perf_counter() - begin})
    for line in sys.stdin:
        order = json.loads(line)
        if "run" in order:  # calls for so many seconds, at least one
            times, end = [], time.perf_counter() + order["run"]
            while not times or time.perf_counter() < end:
                begin = time.perf_counter_ns()
                call()
                times.append((time.perf_counter_ns() - begin) / 1e6)
            say({"times": times})
        elif "results" in order:
            np.savez(order["results"], **{f"o{i}": np.asarray(r) for i, r in enumerate(results())})
            say({})
        else:
            say({"memory": peak_memory()})
            return


def main():
    how, name, spec = sys.argv[1:]
    with open(spec) as f:
        spec = json.load(f)
    # What libraries print goes to stderr; the answers have stdout to themselves.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer):
        out.write(json.dumps(answer) + "\n")
        out.flush()

    peer = PEERS[name]()
    try:
        if how == "compile":
            begin = time.perf_counter()
            artifact = peer.compile(spec)
            say({"seconds": time.perf_counter() - begin, "bytes": os.path.getsize(artifact)})
        else:
            serve(peer, spec, say)
    except Exception as e:
        say({"error": f"{type(e).__name__}: {' '.join(str(e).split())[:300]}"})
    # Some peers' threads do not end by themselves.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
