#!/usr/bin/env python3
"""How much of the drivers' code is a copy of another driver's: tokens, in percent.

    duplicates.py [--most PERCENT] [--length TOKENS] [-v]

Files are cut into tokens without comments and includes. A token counts as a copy when
it lies in a run of at least LENGTH tokens (50) that another driver has as well, or the
same driver at another place. Vendors' words are one word (cuda, hip, ze ... are all
VENDOR), so that a driver made by search and replace is seen. Fails above PERCENT.
"""
import argparse
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent / "runtime" / "drivers"
SKIP = re.compile(r'//[^\n]*|/\*.*?\*/|^[ \t]*#[ \t]*(include|ifndef|endif|pragma)[^\n]*', re.S | re.M)
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_]\w*|\d[\w.\']*|::|->|<<|>>|&&|\|\||[-+*/%&|^=!<>]=|\S')
VENDOR = re.compile(r'cuda|hip|level_?zero|opencl|nvidia|amd|intel|(?<![a-z])(?:cu|ze|cl)(?=[A-Z_])', re.I)


def tokens(path):
    text = path.read_text()
    # Each keeps its line, for the report.
    text = SKIP.sub(lambda m: "\n" * m.group().count("\n"), text)
    line, at = 1, 0
    for m in TOKEN.finditer(text):
        line += text.count("\n", at, m.start())
        at = m.start()
        yield VENDOR.sub("VENDOR", m.group()), line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=float, default=None)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("-v", action="store_true", help="name the copies")
    options = parser.parse_args()
    files = {}
    for path in sorted(ROOT.rglob("*")):
        # Tables of symbols are data: both vendors' must say the same of each. And
        # the simulators' interpreters are no drivers' code.
        if any(part in ("amdgpu", "ptx") for part in path.parts):
            continue
        if path.suffix in (".cpp", ".h") and not path.name.endswith("_symbols.h"):
            files[path.relative_to(ROOT)] = list(tokens(path))
    seen = collections.defaultdict(list)
    n = options.length
    for name, all in files.items():
        words = [w for w, _ in all]
        for i in range(len(words) - n + 1):
            seen[tuple(words[i:i + n])].append((name, i))
    copied = {name: [None] * len(all) for name, all in files.items()}
    for places in seen.values():
        if len(places) < 2:
            continue
        for name, i in places:
            other = next(p for p in places if p != (name, i))
            if other[0] == name and abs(other[1] - i) < n:
                continue  # a list of likes overlaps itself
            for j in range(i, i + n):
                copied[name][j] = other[0]
    total = sum(len(all) for all in files.values())
    count = sum(c is not None for marks in copied.values() for c in marks)
    for name, marks in copied.items():
        own = sum(c is not None for c in marks)
        if not own or not options.v:
            continue
        print(f"{name}: {own} of {len(marks)} tokens")
        begin = None
        for i, c in enumerate(marks + [None]):
            if c is not None and begin is None:
                begin = i
            if c is None and begin is not None:
                print(f"  lines {files[name][begin][1]}-{files[name][i - 1][1]}, as in {marks[begin]}")
                begin = None
    percent = 100 * count / total
    print(f"duplicates: {count} of {total} tokens of the drivers' code, {percent:.2f} %")
    if options.most is not None and percent > options.most:
        sys.exit(f"duplicates: more than {options.most} %; share what is alike (-v names it)")


if __name__ == "__main__":
    main()
