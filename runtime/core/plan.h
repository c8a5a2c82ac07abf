//===- plan.h - sizes and places for one set of input sizes ---------------===//
#ifndef ISTHMUS_RUNTIME_CORE_PLAN_H
#define ISTHMUS_RUNTIME_CORE_PLAN_H

#include "schema.h"
#include "support.h"

namespace isthmus {

/// One thing to place: `size` bytes, live from command `first` to `last`.
struct Interval {
  uint64_t size;
  uint32_t first, last;
  uint64_t offset; // out
};

/// Gives each interval an offset, a multiple of 64, such that those alive at
/// the same command do not overlap; empty ones go to 0. Largest first, each at
/// the lowest place that is free. False: no memory, or the sum overflows.
bool place(Interval *intervals, size_t n, uint64_t *total);

constexpr uint64_t kNotPlaced = UINT64_MAX;

/// What integer code alone tells about a call.
struct Plan {
  struct Slot {
    uint64_t size;   // the largest it gets
    uint64_t offset; // in the arena; kNotPlaced: from the pool, when reached
  };
  Array<Slot> transients;
  uint64_t arenaBytes = 0;
  /// Final values of integer registers, where they can be known.
  Array<int64_t> regs;
  Array<uint8_t> known;
  uint64_t outputBytes = 0;
  /// Every size is known and no transient needs the pool.
  bool exact = true;
};

/// `symbols` has a value for each symbol of `f`.
ist_status makePlan(const fb::Program &program, const fb::Function &f,
                    const int64_t *symbols, Plan *plan, ist_error *error);

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_PLAN_H
