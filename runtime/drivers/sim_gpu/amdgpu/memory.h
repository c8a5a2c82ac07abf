//===- memory.h - accesses of lanes to memory -------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_AMDGPU_MEMORY_H
#define ISTHMUS_SIM_GPU_AMDGPU_MEMORY_H

#include "wave.h"

#include <cstring>

namespace isthmus::simgpu::amdgpu {

enum class AtomicOp : uint8_t {
  add,
  sub,
  umin,
  umax,
  smin,
  smax,
  bitAnd,
  bitOr,
  bitXor,
  exchange,
  increment,
  decrement,
  compareExchange,
  addF32,
  addF64,
  minF,
  maxF,
  pkAddF16,
  pkAddBf16,
};

/// The new value of `old`; compareExchange needs `compare`.
uint64_t applyAtomic(AtomicOp op, unsigned bytes, uint64_t old, uint64_t data,
                     uint64_t compare);

/// "add_u32", "cmpswap_b64", "pk_add_f16" ... of any generation.
bool parseAtomic(std::string_view name, AtomicOp &op, unsigned &bytes);

/// How a lane's bytes become registers: "dwordx4", "b128", "ubyte_d16_hi" ...
struct Format {
  unsigned bytes = 0; // in memory
  bool sign = false, d16 = false, high = false;
};

inline Format formatOf(const Inst &i) {
  Format f;
  f.bytes = i.bytes;
  f.sign = i.signExtend;
  f.d16 = i.d16;
  f.high = i.high;
  return f;
}
bool parseFormat(std::string_view name, Format &format);

/// Writes what a load of `format` read for each active lane, and its poison.
void writeLoaded(Wave &w, const Inst &i, const Operand &o, const Format &format,
                 const uint8_t (*data)[16], const uint8_t (*poison)[16]);
/// Bytes that lane `l` stores.
void readStored(Wave &w, const Operand &o, const Format &format, unsigned l,
                uint8_t *data, uint8_t *poison);

/// How many bytes from `address` on may be read, up to 64.
unsigned readableBytes(const Wave &w, uint64_t address);

/// One access to LDS, in bounds. Keeps account of races.
bool checkLdsSlow(Wave &w, const Inst &i, unsigned lane, uint64_t address,
                  unsigned bytes, bool write, bool atomic);
inline bool checkLds(Wave &w, const Inst &i, unsigned lane, uint64_t address,
                     unsigned bytes, bool write, bool atomic) {
  const Group &g = *w.group;
  if (g.ldsAccess.empty() && !atomic && address <= g.lds.size() &&
      bytes <= g.lds.size() - address)
    return true;
  return checkLdsSlow(w, i, lane, address, bytes, write, atomic);
}

/// What a lane loads, whole registers of it.
inline void loadWords(uint32_t *row, unsigned l, const uint8_t *from,
                      unsigned bytes) {
  for (unsigned k = 0; k < bytes / 4; ++k)
    memcpy(row + size_t(k) * kLanes + l, from + 4 * k, 4);
}
inline void storeWords(const uint32_t *row, unsigned l, uint8_t *to,
                       unsigned bytes) {
  for (unsigned k = 0; k < bytes / 4; ++k)
    memcpy(to + 4 * k, row + size_t(k) * kLanes + l, 4);
}

} // namespace isthmus::simgpu::amdgpu

#endif // ISTHMUS_SIM_GPU_AMDGPU_MEMORY_H
