//===- sanitize.h - poison and races --------------------------------------===//
//
// Poison: a register's lane, or a byte of shared or local memory, that nothing
// was written to, and what is computed from it. It is reported when it reaches
// an address, a branch, or memory that others see.
//
// Races: two threads on one byte of shared memory, one of them writing, with no
// barrier between: of the workgroup, or (bar.warp.sync) of their warp.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_SIM_GPU_PTX_SANITIZE_H
#define ISTHMUS_SIM_GPU_PTX_SANITIZE_H

#include "warp.h"

namespace isthmus::simgpu::ptx {

class Sanitizer {
public:
  explicit Sanitizer(Group &group);

  /// Before an instruction that is no memory's: what its results will be.
  /// False: it faulted.
  bool before(Warp &w, const Inst &i, uint32_t mask);
  /// The same for what lanes do together, once they have met.
  bool together(Warp &w, const Inst &i, uint32_t mask);
  /// False: poison in a source that must have none; faults.
  bool clean(Warp &w, const Inst &i, uint32_t mask, int32_t row,
             const char *what);

  uint32_t poison(const Warp &w, int32_t row) const {
    return row < 0 ? 0 : rows[w.number][static_cast<uint32_t>(row)];
  }
  void setPoison(Warp &w, int32_t row, uint32_t mask, uint32_t value) {
    if (row < 0)
      return;
    uint32_t &p = rows[w.number][static_cast<uint32_t>(row)];
    p = (p & ~mask) | (value & mask);
  }
  uint32_t predicatePoison(const Warp &w, int32_t p) const {
    return p < 0 ? 0 : predicates[w.number][static_cast<uint32_t>(p)];
  }

  /// `host` is where a lane reads or writes; of global memory nothing is known.
  /// Reading gives whether a byte is poison; false from writing: it faulted.
  bool read(Warp &w, const Inst &i, uint32_t lane, const uint8_t *host,
            uint32_t bytes, bool atomic = false);
  bool write(Warp &w, const Inst &i, uint32_t lane, const uint8_t *host,
             const uint8_t *value, uint32_t bytes, bool poison,
             bool atomic = false);
  /// A cp.async is under way to there.
  void begin(Warp &w, const Inst &i, uint32_t lane, uint32_t to,
             uint32_t bytes);
  void barrier() { ++epoch; }

private:
  struct Cell {
    uint32_t written = 0, read = 0;         // epochs, counted from 1; 0: never
    uint32_t writtenWarp = 0, readWarp = 0; // epochs of their warps
    uint16_t writer = 0, reader = 0;        // threads
    bool manyReaders = false, poison = true, underWay = false;
  };
  bool sharedOffset(const uint8_t *host, uint64_t &offset) const;
  bool race(Warp &w, const Inst &i, uint32_t lane, uint64_t offset,
            const char *first, uint32_t other, const char *second);
  bool ordered(const Warp &w, uint32_t lane, uint32_t thread, uint32_t at,
               uint32_t warpAt) const;
  void matrix(Warp &w, const Inst &i);
  bool shuffle(Warp &w, const Inst &i, uint32_t mask);

  Group &group;
  std::vector<std::vector<uint32_t>> rows, predicates; // of each warp
  std::vector<Cell> cells;                             // of shared memory
  std::vector<bool> localPoison;
  uint32_t epoch = 1;
  std::vector<uint32_t> warpEpochs;
};

} // namespace isthmus::simgpu::ptx

#endif // ISTHMUS_SIM_GPU_PTX_SANITIZE_H
