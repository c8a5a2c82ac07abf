//===- wave.h - the state of a workgroup and its waves ----------*- C++ -*-===//
//
// Part of the Isthmus project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_AMDGPU_WAVE_H
#define ISTHMUS_SIM_GPU_AMDGPU_WAVE_H

#include "../machine.h"
#include "inst.h"

#include <memory>

namespace isthmus::simgpu::amdgpu {

constexpr unsigned kLanes = 64; // a row of a vector register, wave32 or not
/// What registers and LDS hold before anybody writes them: a NaN, and no
/// address. Zeros would hide who reads them.
constexpr uint32_t kUnwritten = 0x7fc0dead;
/// Flat addresses of LDS and of a lane's own memory, above any host address.
constexpr uint64_t kSharedAperture = 1ull << 48, kPrivateAperture = 2ull << 48;

/// What a kernel asks of a wave; from its descriptor and metadata.
struct KernelFacts {
  std::string name;
  Generation generation = Generation::gfx9;
  unsigned waveSize = 64, vectors = 0, accumulatorsAt = 0;
  unsigned ldsBytes = 0, privateBytes = 0, kernargBytes = 0;
  unsigned userScalars = 0, properties = 0, preload = 0, preloadOffset = 0;
  bool groupIdX = false, groupIdY = false, groupIdZ = false;
  bool privateSegment = false;
  bool flush32 = false, flush16 = false; // denormals
  bool ieee = false;
  uint64_t entry = 0, end = 0; // in the code object
  uint64_t loadedAt = 0;       // where that lies
  std::vector<Inst> code;
  std::vector<std::unique_ptr<Inst>> seconds;
  std::vector<int32_t> indexAt; // of code, by (address - codeBegin) / 4
  uint64_t codeBegin = 0;
  struct Hidden {
    uint32_t offset, size;
    std::string kind;
  };
  std::vector<Hidden> hidden;
};

/// Counters of outstanding memory accesses. gfx9 and gfx11 count loads, and
/// gfx9 stores too, as vm; scalar loads and LDS together as lgkm.
enum Counter : uint8_t { kLoad, kDs, kStore, kScalar, kCounters };

struct Outstanding {
  bool vector;
  uint16_t first, count; // registers that it will write
  bool ordered;          // done in the order of issue
  std::vector<std::pair<uint32_t, uint32_t>> ldsWrites; // offset, bytes
};

struct Group;

struct Wave {
  Group *group;
  const KernelFacts *kernel;
  unsigned size, index; // lanes; which wave of its group
  uint32_t *v;          // [kernel->vectors][kLanes]
  uint32_t s[kScalars];
  uint32_t *vPoison = nullptr; // the same, 1: a bit that nobody has written
  uint32_t sPoison[kScalars];
  uint8_t *scratch = nullptr, *scratchPoison = nullptr;
  uint32_t pc = 0;
  bool done = false, atBarrier = false;
  uint32_t signals = 0, waits = 0, barrierAt = 0; // at barriers, so far
  uint64_t fullExec = 0;                          // lanes that the launch has
  bool poisonOn = false, flushIn = false;
  uint64_t cachedExec = 0;
  uint32_t laneMask[kLanes]; // of cachedExec
  uint64_t dppLanes = ~0ull; // lanes that DPP lets write
  std::vector<Outstanding> outstanding[kCounters];
  unsigned outstandingTotal = 0;
  std::vector<uint64_t> pendingVector; // a bit per register
  uint64_t pendingScalar[3];

  uint32_t *row(unsigned r) { return v + size_t(r) * kLanes; }
  uint32_t *poisonRow(unsigned r) { return vPoison + size_t(r) * kLanes; }
  uint64_t lanes() const { return size == 64 ? ~0ull : 0xffffffffull; }
  uint64_t mask(unsigned r) const {
    return size == 64 ? uint64_t(s[r + 1]) << 32 | s[r] : s[r];
  }
  void setMask(unsigned r, uint64_t m) {
    if (r == kNull)
      return;
    s[r] = uint32_t(m);
    if (size == 64)
      s[r + 1] = uint32_t(m >> 32);
  }
  uint64_t exec() const { return mask(kExec); }
  uint64_t vcc() const { return mask(kVcc); }
  uint64_t pair(unsigned r) const { return uint64_t(s[r + 1]) << 32 | s[r]; }
  const uint32_t *execMask() {
    uint64_t e = exec() & dppLanes;
    if (e != cachedExec) {
      cachedExec = e;
      for (unsigned l = 0; l < kLanes; ++l)
        laneMask[l] = e >> l & 1 ? ~0u : 0u;
    }
    return laneMask;
  }
  /// The first fault of the launch stays.
  void fail(const Inst &i, const std::string &what, unsigned lane = 0);
};

/// Of each byte of LDS: who last touched it since the last barrier.
struct LdsByte {
  uint32_t epoch = 0;
  uint16_t writer = 0, reader = 0; // wave + 1; 0 nobody, 0xffff several
  bool atomic = false;             // all of them atomics
};

struct Group {
  const Launch *launch;
  uint32_t id;
  std::vector<Wave> waves;
  std::vector<uint8_t> lds, ldsPoison;
  std::vector<LdsByte> ldsAccess;
  uint32_t epoch = 1;
  const uint8_t *kernarg;
  std::vector<uint8_t> kernargCopy;
  const Range *constants; // the code object's own memory
  const Range *lastRange = nullptr;
  Counters *counters;
  Fault *fault;
  bool failed = false;
};

/// Whether reading (or writing) `bytes` at `address` is allowed; if not, the
/// fault is made.
bool checkGlobalSlow(Wave &w, const Inst &i, unsigned lane, uint64_t address,
                     unsigned bytes, bool write);
inline bool checkGlobal(Wave &w, const Inst &i, unsigned lane, uint64_t address,
                        unsigned bytes, bool write) {
  // Most often the same buffer as the last time.
  const Range *r = w.group->lastRange;
  if (r && address >= r->address && bytes <= r->bytes &&
      address - r->address <= r->bytes - bytes && (!write || r->write))
    return true;
  return checkGlobalSlow(w, i, lane, address, bytes, write);
}

// waits.cpp
void checkPending(Wave &w, const Inst &i);
void issue(Wave &w, Counter counter, const Operand *result, bool ordered);
void reach(Wave &w, Counter counter, unsigned count);

// poison.cpp
void flowPoison(Wave &w, const Inst &i);
/// Reports if any bit under `mask` of operand `o` is poison in an active lane.
bool poisoned(Wave &w, const Inst &i, const Operand &o, const char *use);
bool poisonedScalar(Wave &w, const Inst &i, unsigned r, unsigned count,
                    const char *use);

} // namespace isthmus::simgpu::amdgpu

#endif // ISTHMUS_SIM_GPU_AMDGPU_WAVE_H
