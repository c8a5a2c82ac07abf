"""What a call costs: call_cost_test.py BINARY_DIR [LIMIT]

Counts the instructions between entering and leaving ist_call for a function of
one kernel, with valgrind's callgrind where that is installed."""

import re
import shutil
import subprocess
import sys
import tempfile

binary = sys.argv[1] + "/isthmus-call-cost"
limit = int(sys.argv[2]) if len(sys.argv) > 2 else 3000

p = subprocess.run([binary], capture_output=True, text=True)
print(p.stdout, end="")
if p.returncode:
    sys.exit(f"a call in the steady state allocates or enters the kernel (exit {p.returncode}) {p.stderr}")

if not shutil.which("valgrind"):
    print("instructions: not counted, valgrind is not installed")
    sys.exit(0)


def collected(calls):
    with tempfile.TemporaryDirectory() as where:
        p = subprocess.run(["valgrind", "--tool=callgrind", "--toggle-collect=ist_call",
                            f"--callgrind-out-file={where}/out", binary, str(calls)],
                           capture_output=True, text=True, check=True, env={"ISTHMUS_THREADS": "1"})
        return int(re.search(r"Collected : (\d+)", p.stderr).group(1))


# The first calls make plans and recordings.
few, many = 10, 510
each = (collected(many) - collected(few)) / (many - few)
print(f"instructions of a call of one kernel: {each:.0f}, at most {limit}")
sys.exit(0 if each <= limit else 1)
