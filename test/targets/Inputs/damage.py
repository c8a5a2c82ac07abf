"""damage.py in.ist out.ist MEMBER OLD NEW: replaces text of a stored member by as much other text."""

import struct
import sys
import zipfile
import zlib

source, target, member, old, new = sys.argv[1:]
old, new = old.encode(), new.encode()
assert len(old) == len(new)
data = bytearray(open(source, "rb").read())
with zipfile.ZipFile(source) as z:
    code = z.read(member)
    info = z.getinfo(member)
assert old in code
damaged = code.replace(old, new)
begin = data.index(code, info.header_offset)
data[begin : begin + len(code)] = damaged
# The checksum, in the member's own header and in the directory.
for at in (info.header_offset + 14, data.rindex(member.encode()) - 46 + 16):
    assert struct.unpack_from("<I", data, at)[0] == info.CRC
    struct.pack_into("<I", data, at, zlib.crc32(damaged))
open(target, "wb").write(data)
