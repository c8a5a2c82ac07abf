"""Prints the machine code that ptxas makes of an artifact's PTX.

    sass.py model.ist sm_80
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile


def disassembler():
    """nvdisasm on the PATH, or of the Python package of that name."""
    found = shutil.which("nvdisasm")
    package = os.path.join(sysconfig.get_paths()["purelib"], "nvidia", "cu13", "bin", "nvdisasm")
    return found or (package if os.access(package, os.X_OK) else None)


def main():
    path, chip = sys.argv[1:]
    with zipfile.ZipFile(path) as archive:
        code = next(n for n in archive.namelist() if n.endswith("code.ptx"))
        ptx = archive.read(code)
    with tempfile.TemporaryDirectory() as folder:
        source, cubin = os.path.join(folder, "code.ptx"), os.path.join(folder, "code.cubin")
        with open(source, "wb") as file:
            file.write(ptx)
        subprocess.run(["ptxas", "-arch=" + chip, source, "-o", cubin], check=True)
        subprocess.run([disassembler(), "-c", cubin], check=True)


if __name__ == "__main__":
    main()
