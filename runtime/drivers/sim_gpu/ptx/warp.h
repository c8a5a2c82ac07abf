//===- warp.h - the state of what runs ------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_PTX_WARP_H
#define ISTHMUS_SIM_GPU_PTX_WARP_H

#include "program.h"

#include <cstring>

namespace isthmus::simgpu::ptx {

struct Group;
class Sanitizer;

/// Addresses of the generic space that are the workgroup's or a thread's own:
/// none that a host has. The low half is the offset.
constexpr uint64_t kSharedWindow = 0xa1ull << 56, kLocalWindow = 0xa2ull << 56;

/// Lanes that stand at one instruction.
struct Lanes {
  uint32_t pc, mask;
};

/// A cp.async that was issued and not yet waited for.
struct AsyncCopy {
  uint32_t to;         // in shared memory
  uint64_t from;       // 0: nothing is read
  uint8_t bytes, read; // what lies behind `read` is set to zero
  uint8_t lane;
  uint32_t group; // of the thread; counted from 0
};

/// What an aligned load finds that begins in a buffer and ends behind it: LLVM
/// makes one load of four elements from three of an aligned pointer, or of a
/// word from three bytes, since it cannot fault, and uses three.
struct Edge {
  uint8_t bytes[32];
  uint32_t valid;
};

struct Warp {
  uint8_t *rows = nullptr; // this warp's registers
  const uint8_t *immediates = nullptr;
  std::vector<uint32_t> predicates;
  Group *group = nullptr;
  uint32_t number = 0;
  uint32_t whole = 0; // lanes that there are
  uint32_t alive = 0; // and that have not ended

  // Control: what runs now, and what waits. `waiting` is sorted, the smallest
  // pc last; those that `stopped` wait for lanes that are elsewhere.
  Lanes now{0, 0};
  std::vector<Lanes> waiting, stopped;
  bool atBarrier = false, ended = false;
  uint32_t barrier = 0;
  uint32_t barrierCount = 0; // threads that it waits for; 0: all
  const Inst *barrierInst = nullptr;

  Edge edges[kLanes]; // of the load that runs
  std::vector<AsyncCopy> copies;
  uint32_t copyGroups[kLanes]; // that each lane has committed

  template <typename T> T *result(const Inst &i, unsigned n = 0) {
    return reinterpret_cast<T *>(rows + int64_t(i.d[n]) * kRowBytes);
  }
  template <typename T> const T *source(const Inst &i, unsigned n) const {
    return at<T>(i.s[n]);
  }
  template <typename T> const T *at(int32_t row) const {
    return reinterpret_cast<const T *>(
        row >= 0 ? rows + int64_t(row) * kRowBytes
                 : immediates + int64_t(~row) * kRowBytes);
  }
  uint32_t predicate(int32_t p) const {
    return p >= 0 ? predicates[static_cast<uint32_t>(p)] : p == -1 ? ~0u : 0;
  }
  /// Source n as a predicate, with its negation.
  uint32_t predicateSource(const Inst &i, unsigned n) const {
    uint32_t v = predicate(i.s[n]);
    return i.negatedSources >> n & 1 ? ~v : v;
  }
  void setPredicate(int32_t p, uint32_t mask, uint32_t value) {
    if (p < 0)
      return;
    uint32_t &v = predicates[static_cast<uint32_t>(p)];
    v = (v & ~mask) | (value & mask);
  }
  void fault(const Inst &i, uint32_t lane, const std::string &what);
};

/// A workgroup that runs on one host thread.
struct Group {
  const Program *program = nullptr;
  const Launch *launch = nullptr;
  uint32_t number = 0;
  std::vector<Warp> warps;
  std::vector<uint8_t> rows, shared, local; // local: thread after thread
  Counters *counters = nullptr;
  Fault *fault = nullptr;
  bool failed = false;
  Sanitizer *sanitizer = nullptr; // or none
  const Range *lastRange = nullptr;
  std::vector<Range> staticRanges; // the program's

  uint8_t *localOf(const Warp &w, uint32_t lane) {
    return local.data() +
           uint64_t(w.number * kLanes + lane) * program->localBytes;
  }
  /// The range that has all bytes, and may be written; or null.
  const Range *find(uint64_t address, uint64_t bytes, bool write);
  /// "4 bytes at buffer 2 + 4096, which has 4096 bytes"
  std::string describe(uint64_t address, uint64_t bytes, bool write) const;
};

/// The addresses of a memory instruction, checked, and where they are on the
/// host. False: it faulted.
bool addressesOf(Warp &w, const Inst &i, uint32_t mask, unsigned source,
                 uint32_t bytes, bool write, uint64_t *address, uint8_t **host);
/// Counts what an access to shared memory costs.
void countShared(Warp &w, uint32_t mask, const uint64_t *offset, uint32_t bytes,
                 bool write);
/// The lane that a shfl.sync of a kind (Inst::target) reads, and whether it is
/// in range.
bool shuffleSource(uint32_t kind, uint32_t lane, uint32_t b, uint32_t c,
                   uint32_t &from);
/// Makes what the lane's copies of groups below `before` left arrive.
void land(Warp &w, const Inst &i, uint32_t lane, uint32_t before);

} // namespace isthmus::simgpu::ptx

#endif // ISTHMUS_SIM_GPU_PTX_WARP_H
