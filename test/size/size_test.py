"""How large libisthmus is, by component; fails above its limit or when it needs more than the C library.

    size_test.py LIBRARY CPU_ONLY OBJECTS LIMIT ALL_LIMIT STRIP READELF SIZE

LIBRARY has all drivers, and ALL_LIMIT; LIMIT is for CPU_ONLY, which has that one.
"""
import collections
import os
import subprocess
import sys
import tempfile

library, cpu_only, objects, limit, all_limit, strip, readelf, size = sys.argv[1:]


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


components = collections.Counter()
for folder, _, files in os.walk(objects):
    for name in files:
        if name.endswith(".o"):
            text, data, bss = run(size, os.path.join(folder, name)).splitlines()[1].split()[:3]
            components[os.path.relpath(folder, objects)] += int(text) + int(data)
totals = {}
for name, path in ("with cpu alone", cpu_only), ("libisthmus", library):
    with tempfile.TemporaryDirectory() as work:
        stripped = os.path.join(work, "stripped")
        run(strip, "-o", stripped, path)
        totals[name] = os.path.getsize(stripped)
for name, n in sorted(components.items()):
    print(f"{name:<18} {n:>8} bytes of code and data, before linking")
for name, n in totals.items():
    print(f"{name:<18} {n:>8} bytes stripped")
needed = [line.split("[")[1].split("]")[0] for line in run(readelf, "-d", library).splitlines() if "(NEEDED)" in line]
print("needs:", ", ".join(needed))
assert components, f"no objects in {objects}"
assert totals["with cpu alone"] <= int(limit), f"the limit is {limit}"
assert totals["libisthmus"] <= int(all_limit), f"the limit is {all_limit}"
assert all(n.startswith(("libc.so", "ld-linux", "libpthread.so", "libdl.so")) for n in needed), needed
