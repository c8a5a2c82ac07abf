//===- memory.h - accesses of lanes to memory -------------------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_AMDGPU_MEMORY_H
#define ISTHMUS_SIM_GPU_AMDGPU_MEMORY_H

#include "wave.h"

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
bool parseFormat(std::string_view name, Format &format);

/// Writes what a load of `format` read for each active lane, and its poison.
void writeLoaded(Wave &w, const Inst &i, const Operand &o, const Format &format,
                 const uint8_t (*data)[16], const uint8_t (*poison)[16]);
/// Bytes that lane `l` stores.
void readStored(Wave &w, const Operand &o, const Format &format, unsigned l,
                uint8_t *data, uint8_t *poison);

/// One access to LDS, in bounds. Keeps account of races.
bool checkLds(Wave &w, const Inst &i, unsigned lane, uint64_t address,
              unsigned bytes, bool write, bool atomic);

} // namespace isthmus::simgpu::amdgpu

#endif // ISTHMUS_SIM_GPU_AMDGPU_MEMORY_H
