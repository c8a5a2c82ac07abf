//===- pool.cpp - a session's memory whose sizes come late
//-----------------===//
#include "pool.h"
#include "verify.h"

using namespace isthmus;

ist_status Pool::acquire(uint64_t bytes, uint32_t *out, ist_error *error) {
  if (bytes > INT64_MAX - 2 * kAlignment)
    return fail(error, IST_RESOURCE_EXHAUSTED, "%llu bytes cannot be had",
                static_cast<unsigned long long>(bytes));
  bytes = alignUp(bytes ? bytes : 1, kAlignment);
  // The smallest that fits, unless most of it would lie idle.
  int64_t best = -1, hole = -1;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const Block &b = blocks[i];
    if (!b.memory.bytes) {
      hole = static_cast<int64_t>(i);
      continue;
    }
    if (b.references == 0 && b.memory.bytes >= bytes &&
        b.memory.bytes / 4 <= bytes &&
        (best < 0 || b.memory.bytes < blocks[best].memory.bytes))
      best = static_cast<int64_t>(i);
  }
  if (best < 0) {
    if (hole < 0) {
      if (!blocks.push({}))
        return outOfMemory(error, sizeof(Block), "the session's pool");
      hole = static_cast<int64_t>(blocks.size()) - 1;
    }
    best = hole;
    ist_driver_memory memory = {};
    ist_status s = device->alloc(IST_MEMORY_KIND_DEVICE, bytes, &memory, error);
    if (s == IST_RESOURCE_EXHAUSTED) {
      trim();
      s = device->alloc(IST_MEMORY_KIND_DEVICE, bytes, &memory, error);
    }
    if (s)
      return s;
    blocks[best].memory = memory;
  }
  blocks[best].references = 1;
  *out = static_cast<uint32_t>(best);
  return IST_OK;
}

void Pool::trim() {
  for (Block &b : blocks)
    if (b.references == 0 && b.memory.bytes)
      device->free(&b.memory);
}

uint64_t Pool::bytes() const {
  uint64_t sum = 0;
  for (const Block &b : blocks)
    sum += b.memory.bytes;
  return sum;
}
