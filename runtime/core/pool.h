//===- pool.h - a session's device memory ---------------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_POOL_H
#define ISTHMUS_RUNTIME_CORE_POOL_H

#include "device.h"

namespace isthmus {

/// What a session takes of its device: through the caller's allocator where
/// there is one, and not above the session's limit.
struct SessionMemory {
  ist_status alloc(ist_memory_kind kind, uint64_t bytes, const char *what,
                   ist_driver_memory *out, ist_error *error);
  void free(ist_driver_memory *memory);

  ist_device *device = nullptr;
  Account account;
  ist_allocator allocator = {};
  ist_driver_queue *queue = nullptr; // the session's, or null: it has none
  bool frozen = false; // its queue is being captured: nothing is allocated
  uint64_t limit = 0;  // 0: none
  uint64_t bytes = 0, high = 0;
};

/// Counted blocks of memory, kept for reuse when nobody refers to them. The
/// queue runs in order, so a block that only the device writes may be given out
/// again while commands on its old contents are still to run.
class Pool {
public:
  void init(SessionMemory *m, ist_memory_kind k) {
    memory = m;
    kind = k;
  }

  /// A block of at least `bytes`, with one reference.
  ist_status acquire(uint64_t bytes, uint32_t *block, ist_error *error);
  void retain(uint32_t block) { ++blocks[block].references; }
  void release(uint32_t block) { --blocks[block].references; }
  const ist_driver_memory &operator[](uint32_t block) const {
    return blocks[block].memory;
  }
  /// Gives unused blocks back. No command may be under way.
  void trim();

private:
  struct Block {
    ist_driver_memory memory; // no bytes: a free place in the table
    uint32_t references;
  };
  SessionMemory *memory = nullptr;
  ist_memory_kind kind = IST_MEMORY_KIND_DEVICE;
  Array<Block> blocks;
};

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_POOL_H
