"""Checks the GPU code in artifacts without a GPU.

    assembled.py [--build DIR] model.ist ...

Every kernel of the manifest must be in the code, with the same number of
parameters, the same group, workgroup memory and registers, and the code must ask
for nothing from outside. Then the vendor's or the standard's own checker reads
it, where it is on the PATH: ptxas for PTX, spirv-val for SPIR-V. The code is
assembled, never run.
"""

import argparse
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Bad(Exception):
    pass


def tool(command, name):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=600)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise Bad(f"{name}: {lines[0] if lines else 'exit status ' + str(done.returncode)}")


absent = set()


def missing(name):
    """Whether a checker is not on the PATH; `notes` tells which were."""
    if not shutil.which(name):
        absent.add(name)
    return name in absent


def notes():
    return [f"note: {name} is not on the PATH: its kind of code was read, not assembled" for name in sorted(absent)]


# --- PTX ------------------------------------------------------------------------

def ptx_kernels(code):
    text = code.decode()
    if ".extern" in text:
        raise Bad("PTX refers to what is not in it: " + re.search(r".*\.extern.*", text).group().strip())
    kernels = {}
    for part in re.split(r"^\.visible \.entry ", text, flags=re.M)[1:]:
        name, rest = part.split("(", 1)
        params, rest = rest.split(")", 1)
        group = re.search(r"\.reqntid (\d+)", rest.split("{")[0])
        # LLVM may leave of an array the one element that is used.
        shared = [int(bits) // 8 * int(n or 1)
                  for bits, n in re.findall(r"\.shared (?:\.align \d+ )?\.[bfus](\d+) \S+?(?:\[(\d+)\])?;", rest)]
        kernels[name] = {"params": params.count(".param"), "group": int(group.group(1)), "shared": shared}
    return kernels


def check_ptx(path, target):
    if not missing("ptxas"):
        tool(["ptxas", f"-arch={target.split(':')[1]}", path, "-o", os.devnull], "ptxas")


# --- HSA code objects -------------------------------------------------------------

def msgpack(data, at=0):
    """The value at `at` and where it ends; what AMD's metadata uses of MessagePack."""
    def many(n, at, pairs):
        items = []
        for _ in range(n * (2 if pairs else 1)):
            item, at = msgpack(data, at)
            items.append(item)
        return (dict(zip(items[::2], items[1::2])) if pairs else items), at

    tag = data[at]
    at += 1
    if tag <= 0x7F:
        return tag, at
    if tag <= 0x8F:
        return many(tag & 15, at, True)
    if tag <= 0x9F:
        return many(tag & 15, at, False)
    if tag <= 0xBF:
        return data[at : at + (tag & 31)].decode(), at + (tag & 31)
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at
    numbers = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
               0xD9: ">B", 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}
    n = struct.unpack_from(numbers[tag], data, at)[0]
    at += struct.calcsize(numbers[tag])
    if 0xD9 <= tag <= 0xDB:
        return data[at : at + n].decode(), at + n
    if tag >= 0xDC:
        return many(n, at, tag >= 0xDE)
    return n, at


def sections(elf):
    """[(type, bytes, link)]"""
    offset, = struct.unpack_from("<Q", elf, 40)
    size, count = struct.unpack_from("<HH", elf, 58)
    found = []
    for i in range(count):
        _, kind, _, _, begin, length, link = struct.unpack_from("<IIQQQQI", elf, offset + i * size)
        found.append((kind, elf[begin : begin + length] if kind != 8 else b"", link))
    return found


def hsaco_kernels(elf):
    kernels, defined = {}, set()
    all_sections = sections(elf)
    for kind, data, link in all_sections:
        if kind == 11:  # SHT_DYNSYM
            names = all_sections[link][1]
            for at in range(24, len(data), 24):
                name, _, _, section = struct.unpack_from("<IBBH", data, at)
                name = names[name : names.index(0, name)].decode()
                if not section:
                    raise Bad(f"HSACO does not define {name}")
                defined.add(name)
        if kind == 7:  # SHT_NOTE
            at = 0
            while at < len(data):
                owner, length, type = struct.unpack_from("<III", data, at)
                at += 12 + (owner + 3) // 4 * 4
                if type == 32:  # NT_AMDGPU_METADATA
                    for k in msgpack(data[at : at + length])[0]["amdhsa.kernels"]:
                        kernels[k[".name"]] = k
                at += (length + 3) // 4 * 4
    found = {}
    for name, k in kernels.items():
        if k[".symbol"] not in defined or name not in defined:
            raise Bad(f"HSACO's metadata names {name}, its symbols do not")
        if any(a[".offset"] != 8 * i or a[".size"] != 8 for i, a in enumerate(k[".args"])):
            raise Bad(f"{name}: an argument does not lie where the launch puts it")
        if k[".kernarg_segment_size"] != 8 * len(k[".args"]) or k[".uses_dynamic_stack"]:
            raise Bad(f"{name}: asks for more than its arguments")
        found[name] = {"params": len(k[".args"]), "group": k[".reqd_workgroup_size"][0],
                       "shared": [k[".group_segment_fixed_size"]],
                       "registers": {"vector": k[".vgpr_count"], "scalar": k[".sgpr_count"],
                                     "spilled": k[".vgpr_spill_count"] + k[".sgpr_spill_count"]}}
    return found


# --- SPIR-V -----------------------------------------------------------------------

def spirv_kernels(code):
    words = struct.unpack(f"<{len(code) // 4}I", code)
    entries, groups, types, params = {}, {}, {}, {}
    pointers, variables, sizes, constants, imports, builtins, names = {}, {}, {}, {}, {}, set(), {}

    def string(at):
        return code[4 * at : code.index(0, 4 * at)].decode()

    at = 5
    while at < len(words):
        length, op = words[at] >> 16, words[at] & 0xFFFF
        w = words[at : at + length]
        if op == 15:  # OpEntryPoint
            entries[w[2]] = string(at + 3)
        elif op == 5:  # OpName
            names[w[1]] = string(at + 2)
        elif op == 16 and w[2] == 17:  # OpExecutionMode LocalSize
            groups[w[1]] = w[3]
        elif op == 71 and w[2] == 41 and w[-1] == 1:  # OpDecorate LinkageAttributes Import
            imports[w[1]] = string(at + 3)
        elif op == 71 and w[2] == 11:  # OpDecorate BuiltIn
            builtins.add(w[1])
        elif op == 33:  # OpTypeFunction
            types[w[1]] = length - 3
        elif op == 54:  # OpFunction
            params[w[2]] = types[w[4]]
        elif op in (21, 22):  # OpTypeInt, OpTypeFloat
            sizes[w[1]] = w[2] // 8
        elif op == 43:  # OpConstant
            constants[w[2]] = w[3]
        elif op == 28:  # OpTypeArray
            sizes[w[1]] = sizes[w[2]] * constants[w[3]]
        elif op == 32:  # OpTypePointer
            pointers[w[1]] = w[3]
        elif op == 59 and w[3] == 4:  # OpVariable Workgroup
            variables[w[2]] = sizes[pointers[w[1]]]
        at += length
    for missing in imports.keys() - builtins:
        raise Bad(f"SPIR-V refers to {imports[missing]}, which is not in it")
    # Workgroup memory is a variable of the module, named after its kernel.
    return {name: {"params": params[f], "group": groups[f],
                   "shared": [size for v, size in variables.items() if names[v].startswith(name + "_wg")]}
            for f, name in entries.items()}


def check_spirv(path, target):
    if not missing("spirv-val"):
        tool(["spirv-val", "--target-env", "spv1.2", path], "spirv-val")


FORMATS = {"ptx": (ptx_kernels, check_ptx), "hsaco": (hsaco_kernels, None), "spirv": (spirv_kernels, check_spirv)}


def check(artifact, build):
    """What is wrong with the GPU variants of `artifact`, or None; and how many were checked."""
    checked = 0
    try:
        info = os.path.join(build, "bin", "ist-info")
        first = json.loads(subprocess.run([info, artifact, "--json"], capture_output=True, check=True).stdout)
        for i, variant in enumerate(first["variants"]):
            if variant["format"] not in FORMATS:
                continue
            checked += 1
            read, run = FORMATS[variant["format"]]
            shown = first if variant["shown"] else json.loads(subprocess.run(
                [info, artifact, "--json", f"--variant={i}"], capture_output=True, check=True).stdout)
            with zipfile.ZipFile(artifact) as z:
                code = z.read(f"variants/{i}/code.{variant['format']}")
            kernels = read(code)
            wanted = {k["name"]: k for k in shown["kernels"]}
            if kernels.keys() != wanted.keys():
                raise Bad(f"{variant['target']}: kernels differ: {sorted(kernels.keys() ^ wanted.keys())}")
            for name, k in wanted.items():
                got = kernels[name]
                # Parts begin at multiples of 16 bytes.
                shared = 0
                for part in got["shared"]:
                    shared = (shared + 15) // 16 * 16 + part
                if (got["params"], got["group"]) != (len(k["params"]), k["workgroup"]):
                    raise Bad(f"{variant['target']}: {name}: {got['params']} parameters, group {got['group']}; "
                              f"the manifest says {len(k['params'])} and {k['workgroup']}")
                if (shared > 0) != (k["shared_bytes"] > 0) or shared > k["shared_bytes"]:
                    raise Bad(f"{variant['target']}: {name}: {shared} bytes of workgroup memory, "
                              f"the manifest says {k['shared_bytes']}")
                if got.get("registers") != k["registers"]:
                    raise Bad(f"{variant['target']}: {name}: registers {got.get('registers')}, the manifest says {k['registers']}")
            if run:
                with tempfile.NamedTemporaryFile(suffix="." + variant["format"]) as f:
                    f.write(code)
                    f.flush()
                    run(f.name, variant["target"])
    except Bad as e:
        return str(e), checked
    except (KeyError, ValueError, IndexError, struct.error, zipfile.BadZipFile) as e:
        return f"{variant['format'].upper()}'s metadata is damaged: {type(e).__name__}: {e}", checked
    except subprocess.CalledProcessError as e:
        return "ist-info: " + e.stderr.decode(errors="replace").strip(), checked
    return None, checked


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="+")
    parser.add_argument("--build", default=os.environ.get("ISTHMUS_BUILD_DIR", os.path.join(ROOT, "build")))
    options = parser.parse_args()
    bad = 0
    for artifact in options.artifacts:
        why, checked = check(artifact, options.build)
        if why or not checked:
            bad = 1
            print(f"{artifact}: {why or 'holds no code for a GPU'}")
    for note in notes():
        print(note, file=sys.stderr)
    return bad


if __name__ == "__main__":
    sys.exit(main())
