//===- access.cpp - what memory a wave may touch --------------------------===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#include "memory.h"
#include "numbers.h"

#include <cstdio>

using namespace isthmus::simgpu;
using namespace isthmus::simgpu::amdgpu;

void Wave::fail(const Inst &i, const std::string &what, unsigned lane) {
  Group &g = *group;
  if (g.failed)
    return;
  g.failed = true;
  char where[64];
  snprintf(where, sizeof(where),
           ", at 0x%llx: ", (unsigned long long)i.address);
  g.fault->what = what + where + i.text;
  g.fault->group = g.id;
  g.fault->lane = index * size + lane;
}

/// "buffer 2 + 4096, which has 4096 bytes", or where no buffer is.
static std::string describe(const Group &g, uint64_t address) {
  const Range *best = nullptr;
  uint64_t distance = 1 << 20; // farther away it is no buffer's neighbour
  for (size_t n = 0; n < g.launch->rangeCount; ++n) {
    const Range &r = g.launch->ranges[n];
    uint64_t d = address < r.address ? r.address - address
                 : address >= r.address + r.bytes
                     ? address - (r.address + r.bytes)
                     : 0;
    if (d < distance)
      distance = d, best = &r;
  }
  char text[128];
  if (!best)
    snprintf(text, sizeof(text),
             "address 0x%llx, where no buffer of this launch is",
             (unsigned long long)address);
  else
    snprintf(
        text, sizeof(text), "buffer %zu %c %llu, which has %llu bytes",
        size_t(best - g.launch->ranges), address < best->address ? '-' : '+',
        (unsigned long long)(address < best->address ? best->address - address
                                                     : address - best->address),
        (unsigned long long)best->bytes);
  return text;
}

static bool inside(const Range &r, uint64_t address, unsigned bytes) {
  return address >= r.address && bytes <= r.bytes &&
         address - r.address <= r.bytes - bytes;
}

bool isthmus::simgpu::amdgpu::checkGlobalSlow(Wave &w, const Inst &i,
                                              unsigned lane, uint64_t address,
                                              unsigned bytes, bool write) {
  Group &g = *w.group;
  const Range *readOnly = nullptr;
  for (size_t n = 0; n < g.launch->rangeCount; ++n) {
    const Range &r = g.launch->ranges[n];
    if (!inside(r, address, bytes))
      continue;
    if (!write || r.write) {
      g.lastRange = &r;
      return true;
    }
    readOnly = &r;
  }
  Range kernarg{uint64_t(g.kernarg), w.kernel->kernargBytes, false};
  if (!write &&
      (inside(*g.constants, address, bytes) || inside(kernarg, address, bytes)))
    return true;
  w.fail(i,
         std::string(write ? "writes " : "reads ") + std::to_string(bytes) +
             " bytes at " + describe(g, address) +
             (readOnly ? " and is only read" : ""),
         lane);
  return false;
}

unsigned isthmus::simgpu::amdgpu::readableBytes(const Wave &w,
                                                uint64_t address) {
  const Group &g = *w.group;
  Range kernarg{uint64_t(g.kernarg), w.kernel->kernargBytes, false};
  auto left = [&](const Range &r) -> uint64_t {
    return inside(r, address, 1) ? r.address + r.bytes - address : 0;
  };
  uint64_t most = std::max(left(*g.constants), left(kernarg));
  for (size_t n = 0; n < g.launch->rangeCount; ++n)
    most = std::max(most, left(g.launch->ranges[n]));
  return unsigned(std::min<uint64_t>(most, 64));
}

bool isthmus::simgpu::amdgpu::checkLdsSlow(Wave &w, const Inst &i,
                                           unsigned lane, uint64_t address,
                                           unsigned bytes, bool write,
                                           bool atomic) {
  Group &g = *w.group;
  if (address > g.lds.size() || bytes > g.lds.size() - address) {
    w.fail(i,
           std::string(write ? "writes " : "reads ") + std::to_string(bytes) +
               " bytes at LDS + " + std::to_string(address) + ", which has " +
               std::to_string(g.lds.size()) + " bytes",
           lane);
    return false;
  }
  // HSA turns the mode on in which only atomics must be aligned; what is not
  // takes several passes, and nobody means it.
  unsigned align = atomic ? bytes : std::min(bytes & -bytes, 4u);
  if (address % align && (atomic || w.group->launch->sanitize)) {
    w.fail(i,
           std::string(write ? "writes " : "reads ") + std::to_string(bytes) +
               " bytes at LDS + " + std::to_string(address) +
               ", which is misaligned",
           lane);
    return false;
  }
  if (g.ldsAccess.empty())
    return true;
  uint16_t self = uint16_t(w.index + 1);
  for (unsigned b = 0; b < bytes; ++b) {
    LdsByte &a = g.ldsAccess[address + b];
    if (a.epoch != g.epoch) {
      a = LdsByte();
      a.epoch = g.epoch;
      a.atomic = true;
    }
    bool ordered = atomic && a.atomic;
    bool other = (a.writer && a.writer != self) ||
                 (write && a.reader && a.reader != self);
    if (other && !ordered) {
      bool wrote = a.writer && a.writer != self;
      unsigned wave = wrote ? a.writer : a.reader;
      w.fail(i,
             std::string("race: ") + (write ? "writes" : "reads") + " LDS + " +
                 std::to_string(address + b) + ", which " +
                 (wave == 0xffff ? "several waves"
                                 : "wave " + std::to_string(wave - 1)) +
                 " " + (wrote ? "wrote" : "read") +
                 " without a barrier between",
             lane);
      return false;
    }
    uint16_t &who = write ? a.writer : a.reader;
    who = who && who != self ? 0xffff : self;
    a.atomic &= atomic;
  }
  return true;
}

uint64_t isthmus::simgpu::amdgpu::applyAtomic(AtomicOp op, unsigned bytes,
                                              uint64_t old, uint64_t data,
                                              uint64_t compare) {
  bool wide = bytes == 8;
  auto sign = [&](uint64_t x) {
    return wide ? int64_t(x) : int64_t(int32_t(x));
  };
  auto f = [](uint64_t x) { return bitcast<float>(uint32_t(x)); };
  auto d = [](uint64_t x) { return bitcast<double>(x); };
  switch (op) {
  case AtomicOp::add:
    return old + data;
  case AtomicOp::sub:
    return old - data;
  case AtomicOp::umin:
    return std::min(old, data);
  case AtomicOp::umax:
    return std::max(old, data);
  case AtomicOp::smin:
    return sign(old) < sign(data) ? old : data;
  case AtomicOp::smax:
    return sign(old) > sign(data) ? old : data;
  case AtomicOp::bitAnd:
    return old & data;
  case AtomicOp::bitOr:
    return old | data;
  case AtomicOp::bitXor:
    return old ^ data;
  case AtomicOp::exchange:
    return data;
  case AtomicOp::increment: // wraps at data
    return old >= data ? 0 : old + 1;
  case AtomicOp::decrement:
    return old == 0 || old > data ? data : old - 1;
  case AtomicOp::compareExchange:
    return old == compare ? data : old;
  case AtomicOp::addF32:
    return bitcast<uint32_t>(f(old) + f(data));
  case AtomicOp::addF64:
    return bitcast<uint64_t>(d(old) + d(data));
  case AtomicOp::minF:
    return wide ? bitcast<uint64_t>(minNum(d(old), d(data)))
                : bitcast<uint32_t>(minNum(f(old), f(data)));
  case AtomicOp::maxF:
    return wide ? bitcast<uint64_t>(maxNum(d(old), d(data)))
                : bitcast<uint32_t>(maxNum(f(old), f(data)));
  case AtomicOp::pkAddF16:
  case AtomicOp::pkAddBf16: {
    uint32_t r = 0;
    for (unsigned shift : {0, 16}) {
      uint16_t a = uint16_t(old >> shift), b = uint16_t(data >> shift);
      uint16_t sum = op == AtomicOp::pkAddF16
                         ? doubleToHalf(double(halfToFloat(a)) + halfToFloat(b))
                         : floatToBfloat(bfloatToFloat(a) + bfloatToFloat(b));
      r |= uint32_t(sum) << shift;
    }
    return r;
  }
  }
  return old;
}

bool isthmus::simgpu::amdgpu::parseAtomic(std::string_view name, AtomicOp &op,
                                          unsigned &bytes) {
  bytes = 4;
  auto drop = [&](std::string_view end) {
    if (name.size() < end.size() ||
        name.substr(name.size() - end.size()) != end)
      return false;
    name.remove_suffix(end.size());
    return true;
  };
  // gfx9 says "_x2", later ones name the type.
  if (drop("_x2") || drop("_u64") || drop("_b64") || drop("_i64"))
    bytes = 8;
  else if (!drop("_u32") && !drop("_b32"))
    drop("_i32");
  static const std::pair<const char *, AtomicOp> names[] = {
      {"add", AtomicOp::add},
      {"sub", AtomicOp::sub},
      {"umin", AtomicOp::umin},
      {"umax", AtomicOp::umax},
      {"smin", AtomicOp::smin},
      {"smax", AtomicOp::smax},
      {"and", AtomicOp::bitAnd},
      {"or", AtomicOp::bitOr},
      {"xor", AtomicOp::bitXor},
      {"swap", AtomicOp::exchange},
      {"inc", AtomicOp::increment},
      {"dec", AtomicOp::decrement},
      {"cmpswap", AtomicOp::compareExchange},
      {"add_f32", AtomicOp::addF32},
      {"add_f64", AtomicOp::addF64},
      {"min_f64", AtomicOp::minF},
      {"max_f64", AtomicOp::maxF},
      {"min_f32", AtomicOp::minF},
      {"max_f32", AtomicOp::maxF},
      {"min_num_f32", AtomicOp::minF},
      {"max_num_f32", AtomicOp::maxF},
      {"pk_add_f16", AtomicOp::pkAddF16},
      {"pk_add_bf16", AtomicOp::pkAddBf16}};
  for (auto [n, o] : names)
    if (name == n) {
      op = o;
      if (name.size() > 4 && name.substr(name.size() - 4) == "_f64")
        bytes = 8;
      return true;
    }
  return false;
}

bool isthmus::simgpu::amdgpu::parseFormat(std::string_view name, Format &f) {
  struct Row {
    const char *name;
    Format format;
  };
  static const Row rows[] = {{"dword", {4}},
                             {"dwordx2", {8}},
                             {"dwordx3", {12}},
                             {"dwordx4", {16}},
                             {"b32", {4}},
                             {"b64", {8}},
                             {"b96", {12}},
                             {"b128", {16}},
                             {"ubyte", {1}},
                             {"sbyte", {1, true}},
                             {"ushort", {2}},
                             {"sshort", {2, true}},
                             {"byte", {1}},
                             {"short", {2}},
                             {"u8", {1}},
                             {"i8", {1, true}},
                             {"u16", {2}},
                             {"i16", {2, true}},
                             {"b8", {1}},
                             {"b16", {2}},
                             {"ubyte_d16", {1, false, true}},
                             {"ubyte_d16_hi", {1, false, true, true}},
                             {"sbyte_d16", {1, true, true}},
                             {"sbyte_d16_hi", {1, true, true, true}},
                             {"short_d16", {2, false, true}},
                             {"short_d16_hi", {2, false, true, true}},
                             {"d16_u8", {1, false, true}},
                             {"d16_hi_u8", {1, false, true, true}},
                             {"d16_i8", {1, true, true}},
                             {"d16_hi_i8", {1, true, true, true}},
                             {"d16_b16", {2, false, true}},
                             {"d16_hi_b16", {2, false, true, true}},
                             {"byte_d16_hi", {1, false, true, true}},
                             {"d16_hi_b8", {1, false, true, true}},
                             {"u8_d16", {1, false, true}},
                             {"u8_d16_hi", {1, false, true, true}},
                             {"i8_d16", {1, true, true}},
                             {"i8_d16_hi", {1, true, true, true}},
                             {"u16_d16", {2, false, true}},
                             {"u16_d16_hi", {2, false, true, true}},
                             {"b16_d16_hi", {2, false, true, true}},
                             {"b8_d16_hi", {1, false, true, true}}};
  for (const Row &row : rows)
    if (name == row.name) {
      f = row.format;
      return true;
    }
  return false;
}

void isthmus::simgpu::amdgpu::writeLoaded(Wave &w, const Inst &i,
                                          const Operand &o, const Format &f,
                                          const uint8_t (*data)[16],
                                          const uint8_t (*poison)[16]) {
  uint64_t exec = w.exec();
  unsigned words = std::max(f.bytes / 4, 1u);
  for (unsigned which = 0; which < (poison ? 2 : 1); ++which)
    for (unsigned k = 0; k < words; ++k) {
      uint32_t *row = which ? w.poisonRow(o.index + k) : w.row(o.index + k);
      for (unsigned l = 0; l < w.size; ++l) {
        if (!(exec >> l & 1))
          continue;
        const uint8_t *from = (which ? poison : data)[l];
        uint32_t v = 0;
        memcpy(&v, from + 4 * k, std::min(f.bytes, 4u));
        if (f.bytes < 4 && f.sign)
          v = f.bytes == 1 ? uint32_t(int8_t(v)) : uint32_t(int16_t(v));
        bool high = f.high || o.half;
        if (f.d16 && high)
          v = v << 16 | (row[l] & 0xffff);
        else if (f.d16)
          v = (v & 0xffff) | (row[l] & 0xffff0000);
        row[l] = v;
      }
    }
}

void isthmus::simgpu::amdgpu::readStored(Wave &w, const Operand &o,
                                         const Format &f, unsigned l,
                                         uint8_t *data, uint8_t *poison) {
  unsigned words = std::max(f.bytes / 4, 1u), shift = f.high || o.half ? 16 : 0;
  for (unsigned k = 0; k < words; ++k) {
    uint32_t v = w.row(o.index + k)[l] >> shift;
    memcpy(data + 4 * k, &v, std::min(f.bytes, 4u));
    if (poison) {
      uint32_t p = w.poisonOn ? w.poisonRow(o.index + k)[l] >> shift : 0;
      memcpy(poison + 4 * k, &p, std::min(f.bytes, 4u));
    }
  }
}
