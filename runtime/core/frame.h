//===- frame.h - what one call works with ---------------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_FRAME_H
#define ISTHMUS_RUNTIME_CORE_FRAME_H

#include "pool.h"
#include "verify.h"

namespace isthmus {

constexpr uint32_t kNoBlock = UINT32_MAX;
constexpr uint32_t kNoSlot = UINT32_MAX;
/// What empty buffers have for an address: not null, never used. In a
/// recording, what stands for a slot's address.
constexpr uint64_t kEmptyAddress = kAlignment;

/// An address that, in a recording, is so many bytes from a slot's.
struct Place {
  uint64_t address; // 0: not set
  uint32_t slot;    // or kNoSlot
};

struct Buffer {
  Place at;
  uint32_t block;     // of the pool, or kNoBlock
  uint32_t transient; // that the block was made for, or kNoBlock
  uint64_t bytes;
};

/// An input or output. Kernels use `inner`; where that is not the memory that
/// the caller knows (it is not aligned, or the device cannot address it), data
/// is copied to or from `outer`, which is the caller's or a staging block.
struct Operand {
  void *data;    // the caller's; null: the runtime allocates
  uint64_t room; // bytes there
  uint64_t outer, inner;
  void *stage;      // the staging block's bytes
  uint64_t bytes;   // of an input
  Buffer value;     // of an output: what it is so far
  uint32_t block;   // of `inner`, or kNoBlock
  uint32_t staging; // block of `outer`, or kNoBlock
  bool given;       // `data` is the caller's
  bool indirect;    // inner is not outer
  bool staged;      // outer is not the caller's memory
  bool written;     // an input that is inout
};

/// What a call gave the device and has not waited for: commands, as its session
/// counts them, and the first and the last launch among them.
struct InFlight {
  uint64_t first = 0, last = 0;
  uint32_t launches[2] = {kNoBlock, kNoBlock}; // of the function

  /// So many commands; `given` counts them all.
  void add(uint64_t &given, uint64_t commands = 1) {
    if (!first)
      first = given + 1;
    last = given += commands;
  }
  void addLaunch(uint32_t launch) {
    if (launches[0] == kNoBlock)
      launches[0] = launch;
    launches[1] = launch;
  }
};

/// Kept from call to call, so that calls allocate nothing.
struct Frame {
  Array<int64_t> r;
  Array<Buffer> b;
  Array<Operand> operands; // inputs, then outputs
  Array<uint64_t> classes; // a bit for each operand: is it indirect?
  Array<uint64_t> args;
  Array<uint32_t> argSlots, rangeSlots;
  Array<ist_range> ranges;
  Array<ist_tensor> inputs; // with what is bound
  Array<uint32_t> ends;     // transients of the pool, by last command
  /// Host visible: 64 bytes for reads, then an error word for each launch.
  ist_driver_memory words = {};

  // Of the call.
  uint32_t function = 0;
  ist_tensor *outputs = nullptr;
  uint64_t deadline = UINT64_MAX;
  uint64_t timeoutNs = 0; // that the deadline came from
  InFlight inFlight;
  Frame *next = nullptr;

  uint32_t *errorWord(uint32_t launch) const {
    return static_cast<uint32_t *>(words.host) + 16 + launch;
  }
};

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_FRAME_H
