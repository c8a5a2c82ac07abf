"""lit: the compiler's tests, FileCheck over the tools' output."""

import os

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

# A test that needs a tool says `// REQUIRES: istc`.
for tool in ["ist-opt", "istc", "ist-run", "ist-info", "ist-bench"]:
    if os.path.exists(os.path.join(config.build_dir, "bin", tool)):
        config.available_features.add(tool)
