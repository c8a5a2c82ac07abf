"""Where the tools that a script starts shall run."""

import os

PLUGINS = ("libisthmus-driver-sim-gpu.so", "libisthmus-driver-sim.so")


def choose(device, build):
    """`device` as of ist-run. The build's plug-ins are found without more words."""
    if not device:
        return
    os.environ["ISTHMUS_DEVICE"] = device
    if device.split(":")[0] == "sim":
        files = [os.path.join(build, "lib", name) for name in PLUGINS]
        os.environ.setdefault("ISTHMUS_PLUGIN_PATH", ":".join(f for f in files if os.path.exists(f)))
    # Intel's OpenCL runtime for CPUs joins work-items to vectors of its own,
    # and gets some wrong or rounds them in another way than the rest.
    os.environ.setdefault("CL_CONFIG_CPU_VECTORIZER_MODE", "1")
