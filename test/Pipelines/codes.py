"""Every IST code in the sources has an entry that `istc --explain` prints."""

import pathlib
import re
import subprocess
import sys

root = pathlib.Path(sys.argv[1])
codes = set()
for folder in ("lib", "dialects", "targets", "tools"):
    for path in (root / folder).rglob("*.cpp"):
        if path.name != "Diagnostics.cpp":
            codes |= set(re.findall(r"IST-[A-Z]\d{4}", path.read_text()))
missing = [c for c in sorted(codes) if subprocess.run(["istc", "--explain", c], capture_output=True).returncode]
print(f"{len(codes)} codes, not explained: {missing}")
sys.exit(bool(missing) or not codes)
