//===- pool.h - a session's memory whose sizes come late
//-------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_POOL_H
#define ISTHMUS_RUNTIME_CORE_POOL_H

#include "device.h"

namespace isthmus {

/// Counted blocks of device memory, kept for reuse when nobody refers to them.
/// The queue runs in order, so a block may be given out again while commands
/// on its old contents are still to run.
class Pool {
public:
  ~Pool() { trim(); }
  void init(ist_device *d) { device = d; }

  /// A block of at least `bytes`, with one reference.
  ist_status acquire(uint64_t bytes, uint32_t *block, ist_error *error);
  void retain(uint32_t block) { ++blocks[block].references; }
  void release(uint32_t block) { --blocks[block].references; }
  uint64_t address(uint32_t block) const {
    return blocks[block].memory.address;
  }
  /// Gives unused blocks back to the device.
  void trim();
  uint64_t bytes() const;

private:
  struct Block {
    ist_driver_memory memory; // no bytes: a free place in the table
    uint32_t references;
  };
  ist_device *device = nullptr;
  Array<Block> blocks;
};

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_POOL_H
