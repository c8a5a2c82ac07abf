"""Prints the machine code in an artifact.

    isa.py model.ist [OBJDUMP_OPTION...]
"""

import os
import subprocess
import sys
import tempfile
import zipfile


def main():
    with zipfile.ZipFile(sys.argv[1]) as archive, tempfile.TemporaryDirectory() as folder:
        code = os.path.join(folder, "code")
        with open(code, "wb") as file:
            file.write(archive.read(next(n for n in archive.namelist() if n.endswith(("code.hsaco", "code.elf")))))
        subprocess.run(["llvm-objdump", "-d", *sys.argv[2:], code], check=True)


if __name__ == "__main__":
    main()
