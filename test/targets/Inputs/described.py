"""Which variant each described device is given: described.py MODEL.ist"""
import json
import subprocess
import sys

GIVEN = {
    # PTX runs on every later chip; sm_90a and sm_100a on theirs alone.
    "v100": None, "t4": None,
    "a100": "nvidia:sm_80", "a100-cuda11.4": "nvidia:sm_80", "a10": "nvidia:sm_86", "rtx3090": "nvidia:sm_86",
    "orin": "nvidia:sm_86", "l4": "nvidia:sm_89", "l40s": "nvidia:sm_89", "rtx4090": "nvidia:sm_89",
    "h100": "nvidia:sm_90a", "h100-cuda11.8": "nvidia:sm_89", "h200": "nvidia:sm_90a", "b200": "nvidia:sm_100a",
    "b300": "nvidia:sm_89", "rtx5090": "nvidia:sm_89",
    # Code for a chip, then for its family.
    "mi100": None, "mi210": "amd:gfx90a", "mi250x": "amd:gfx90a", "mi300x": "amd:gfx942", "mi355x": "amd:gfx950",
    "rx6800xt": None, "rx7900xtx": "amd:gfx1100", "rx7600": "amd:gfx11-generic", "strixhalo": "amd:gfx11-generic",
    "rx9060xt": "amd:gfx12-generic", "rx9070xt": "amd:gfx1201",
    "max1550": "intel:pvc", "a770": "intel:spirv64", "b580": "intel:bmg", "lunarlake": "intel:spirv64",
    "nehalem": "cpu:x86-64-v2", "haswell": "cpu:x86-64-v3", "zen3": "cpu:x86-64-v3", "skylake-avx512": "cpu:x86-64-v4",
    "zen4": "cpu:x86-64-v4", "graviton3": "cpu:aarch64", "rva23": "cpu:riscv64",
}


def info(*args):
    return subprocess.run(["ist-info", *args], capture_output=True, text=True)


bad = 0
known = json.loads(info("--list-described", "--json").stdout)
if set(known) != set(GIVEN):
    print("the table and the test differ in:", set(known) ^ set(GIVEN))
    bad += 1
for name, want in GIVEN.items():
    done = info(sys.argv[1], "--json", "--device=" + name)
    if done.returncode:
        got = None
        # Each variant of the vendor's says what the device lacks.
        if "UNAVAILABLE" not in done.stderr or "the device lacks" not in done.stderr:
            print(f"{name}: {done.stderr}")
            bad += 1
    else:
        (got,) = [v["target"] for v in json.loads(done.stdout)["variants"] if v["shown"]]
    if got != want:
        print(f"{name} is given {got}, not {want}\n{done.stderr}")
        bad += 1
print(f"{len(GIVEN)} devices, {bad} wrong")
sys.exit(bad != 0)
