#!/usr/bin/env python3
"""Puts an ELF file into a SPIR-V container, for the fake Level Zero driver.

    wrap_spirv.py IN.so OUT.spv KERNEL:ARGUMENTS ...

The container is a whole module for whoever only walks its instructions: OpString
holds the file in pieces, and OpFunctionEnd comes last.
"""
import struct
import sys


def main():
    source, target, *kernels = sys.argv[1:]
    code = open(source, "rb").read()
    payload = b"ISTW" + struct.pack("<I", len(kernels))
    for kernel in kernels:
        name, count = kernel.split(":")
        payload += name.encode().ljust(64, b"\0") + struct.pack("<I", int(count))
    payload += struct.pack("<I", len(code)) + code
    payload += bytes(-len(payload) % 4)
    out = struct.pack("<5I", 0x07230203, 0x00010200, 0, 1, 0)
    piece = 4 * 60000
    for at in range(0, len(payload), piece):
        part = payload[at:at + piece]
        out += struct.pack("<I", (len(part) // 4 + 1) << 16 | 7) + part
    out += struct.pack("<I", 1 << 16 | 56)
    with open(target, "wb") as f:
        f.write(out)


main()
