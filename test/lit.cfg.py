"""lit: the compiler's tests, FileCheck over the tools' output."""

import os
import shutil
import subprocess

import lit.formats

config.name = "isthmus"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "conformance", "models", "runtime"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.build_dir, "test")

# Our tools first, then FileCheck and friends.
config.environment["PATH"] = os.pathsep.join(
    [os.path.join(config.build_dir, "bin"), config.llvm_tools_dir, os.environ["PATH"]]
)
config.substitutions.append(("%python", config.python))
config.substitutions.append(("%source_dir", config.source_dir))

# The kernels that every target compiles.
smoke = os.path.join(config.source_dir, "test", "Kernel", "smoke")
lanes = [os.path.join(smoke, k + "_lanes.mlir") for k in ["silu", "softmax", "matmul", "gather"]]
config.substitutions.append(("%smoke", smoke))
config.substitutions.append(("%lanes", " ".join(lanes)))
tiles = [os.path.join(config.source_dir, "test", "Kernel", "tiles", k + ".mlir") for k in ["softmax", "matmul"]]
config.substitutions.append(("%tiles", " ".join(tiles)))

# A test that needs a tool says `// REQUIRES: istc`.
for tool in ["ist-opt", "ist-kernel", "istc", "ist-run", "ist-info", "ist-bench", "isthmus-sim-tests"]:
    if os.path.exists(os.path.join(config.build_dir, "bin", tool)):
        config.available_features.add(tool)

# GPUs' code runs on simulated devices.
if os.path.exists(os.path.join(config.build_dir, "lib", "libisthmus-driver-sim-gpu.so")):
    config.available_features.add("sim-gpu")
    config.environment["ISTHMUS_PLUGIN_PATH"] = os.path.join(config.build_dir, "lib")

# Models that come in Python packages.
if subprocess.run([config.python, "-c", "import magika"], capture_output=True).returncode == 0:
    config.available_features.add("magika")

# A ptxas that knows every chip we have a row for.
ptxas = shutil.which("ptxas")
if ptxas and "sm_100a" in subprocess.run([ptxas, "--help"], capture_output=True, text=True).stdout:
    config.available_features.add("ptxas")

# NVIDIA's disassembler, of requirements.txt.
find = os.path.join(config.source_dir, "test", "targets", "nvidia", "Inputs")
find = f"import sys; sys.path.insert(0, {find!r}); import sass; sys.exit(not sass.disassembler())"
if subprocess.run([config.python, "-B", "-c", find]).returncode == 0:
    config.available_features.add("nvdisasm")

# An OpenCL library with a CPU device that takes SPIR-V.
if "ISTHMUS_OPENCL" in os.environ:
    config.available_features.add("opencl")
    for name in ["ISTHMUS_OPENCL", "OCL_ICD_FILENAMES", "LD_LIBRARY_PATH"]:
        if name in os.environ:
            config.environment[name] = os.environ[name]
