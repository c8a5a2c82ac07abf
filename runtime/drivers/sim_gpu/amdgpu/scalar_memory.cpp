//===- scalar_memory.cpp - scalar loads -----------------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "memory.h"

#include <algorithm>
#include <cstring>

using namespace isthmus::simgpu;
using namespace isthmus::simgpu::amdgpu;

/// S_LOAD and S_BUFFER_LOAD: i.s[0] is a base, i.s[1] an offset, constant or
/// not. Whole registers come from multiples of 4 bytes.
template <bool Buffer> static void loadScalar(Wave &w, const Inst &i) {
  const Operand &base = i.s[0], &offset = i.s[1];
  if (w.poisonOn && (poisoned(w, i, base, "an address") ||
                     poisoned(w, i, offset, "an address")))
    return;
  uint64_t a = w.pair(base.index) & (Buffer ? 0xffffffffffffull : ~0ull);
  uint64_t at =
      uint64_t(int64_t(i.offset)) +
      (offset.kind == Operand::scalar ? w.s[offset.index] : offset.bits);
  if (Buffer && at + i.bytes > w.s[base.index + 2])
    return w.fail(i, "reads " + std::to_string(i.bytes) + " bytes at " +
                         std::to_string(at) +
                         " of a scalar buffer, which has " +
                         std::to_string(w.s[base.index + 2]) + " bytes");
  a += at;
  if (a % std::min<unsigned>(i.bytes, 4))
    return w.fail(i, "reads " + std::to_string(i.bytes) + " bytes at " +
                         std::to_string(a) + ", which is misaligned");
  uint32_t words[16], poison[16] = {};
  // Aligned units end in no page that does not begin with them, so LLVM reads
  // a whole one for a part; what lies behind the buffer's end is nobody's.
  unsigned inside = a % i.bytes ? 0 : readableBytes(w, a);
  inside = inside >= i.bytes || !inside ? i.bytes : inside;
  if (!checkGlobal(w, i, 0, a, inside, false))
    return;
  std::fill_n(words, 16, kUnwritten);
  memcpy(words, reinterpret_cast<const void *>(a), inside);
  memset(reinterpret_cast<uint8_t *>(poison) + inside, 0xff,
         sizeof poison - inside);
  if (i.bytes < 4)
    words[0] &= i.bytes == 1 ? 0xff : 0xffff, poison[0] = 0;
  if (i.bytes < 4 && i.signExtend)
    words[0] =
        i.bytes == 1 ? uint32_t(int8_t(words[0])) : uint32_t(int16_t(words[0]));
  if (i.d[0].index != kNull)
    for (unsigned k = 0; k < std::max(i.bytes / 4u, 1u); ++k) {
      w.s[i.d[0].index + k] = words[k];
      w.sPoison[i.d[0].index + k] = poison[k];
    }
  w.group->counters->globalRead += i.bytes;
  issue(w, kScalar, &i.d[0], false);
}

bool isthmus::simgpu::amdgpu::findScalarMemory(std::string_view name,
                                               Inst &inst, Operation &o) {
  bool buffer = name.substr(0, 14) == "s_buffer_load_";
  if (!buffer && name.substr(0, 7) != "s_load_")
    return false;
  std::string_view what = name.substr(buffer ? 14 : 7);
  static const struct {
    const char *name;
    uint8_t bytes;
    bool sign;
  } rows[] = {
      {"dword", 4, false},    {"dwordx2", 8, false},  {"dwordx3", 12, false},
      {"dwordx4", 16, false}, {"dwordx8", 32, false}, {"dwordx16", 64, false},
      {"b32", 4, false},      {"b64", 8, false},      {"b96", 12, false},
      {"b128", 16, false},    {"b256", 32, false},    {"b512", 64, false},
      {"u8", 1, false},       {"i8", 1, true},        {"u16", 2, false},
      {"i16", 2, true}};
  for (const auto &row : rows)
    if (what == row.name) {
      inst.bytes = row.bytes;
      inst.signExtend = row.sign;
      o.kind = Class::memory;
      o.flow = Flow::none;
      o.shape.results = 1;
      o.shape.sources = 2;
      o.shape.result[0] = o.shape.source[0] = Type::any;
      o.shape.source[1] = Type::b32;
      o.run = buffer ? loadScalar<true> : loadScalar<false>;
      return true;
    }
  return false;
}
