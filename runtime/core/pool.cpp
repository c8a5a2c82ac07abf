//===- pool.cpp - a session's device memory -------------------------------===//
#include "pool.h"
#include "verify.h"

using namespace isthmus;

ist_status SessionMemory::alloc(ist_memory_kind kind, uint64_t size,
                                const char *what, ist_driver_memory *out,
                                ist_error *error) {
  if (frozen)
    return fail(error, IST_UNAVAILABLE,
                "%llu bytes for %s cannot be had while the queue is being "
                "captured; call ist_session_prepare with such inputs before, "
                "and bring memory for the outputs",
                ull(size), what);
  if (limit && (size > limit || bytes > limit - size))
    return fail(error, IST_RESOURCE_EXHAUSTED,
                "%llu bytes requested for %s, and the session has %llu of its "
                "limit of %llu; raise ist_session_options.memory_limit, or use "
                "smaller inputs",
                ull(size), what, ull(bytes), ull(limit));
  bool ours = kind == IST_MEMORY_KIND_DEVICE && allocator.allocate;
  if (ours) {
    void *p = allocator.allocate(allocator.user, size, kAlignment);
    uint64_t address = reinterpret_cast<uint64_t>(p);
    if (!p)
      return fail(error, IST_RESOURCE_EXHAUSTED,
                  "the session's allocator has no %llu bytes for %s; give it "
                  "more, or use smaller inputs",
                  ull(size), what);
    if (address % kAlignment) {
      allocator.deallocate(allocator.user, p, size);
      return fail(error, IST_INVALID_ARGUMENT,
                  "the session's allocator gave 0x%llx, which is not aligned "
                  "to %u",
                  ull(address), kAlignment);
    }
    // The handle marks it as not the driver's.
    *out = {address, nullptr, this, size};
    if (device->shares())
      out->host = p;
  } else if (ist_status s = account.alloc(kind, size, out, error, queue)) {
    return s;
  }
  // Read by any thread.
  __atomic_store_n(&bytes, bytes + out->bytes, __ATOMIC_RELAXED);
  if (bytes > high)
    __atomic_store_n(&high, bytes, __ATOMIC_RELAXED);
  return IST_OK;
}

void SessionMemory::free(ist_driver_memory *m) {
  if (!m->bytes)
    return;
  __atomic_store_n(&bytes, bytes - m->bytes, __ATOMIC_RELAXED);
  if (m->handle == this) {
    allocator.deallocate(allocator.user, reinterpret_cast<void *>(m->address),
                         m->bytes);
    *m = {};
  } else {
    account.free(m, queue);
  }
}

ist_status Pool::acquire(uint64_t bytes, uint32_t *out, ist_error *error) {
  if (bytes > INT64_MAX - 2 * kAlignment)
    return fail(error, IST_RESOURCE_EXHAUSTED, "%llu bytes cannot be had",
                ull(bytes));
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
    ist_driver_memory m = {};
    const char *what = kind == IST_MEMORY_KIND_DEVICE
                           ? "outputs and data-dependent sizes"
                           : "staging";
    if (ist_status s = memory->alloc(kind, bytes, what, &m, error))
      return s;
    blocks[best].memory = m;
  }
  blocks[best].references = 1;
  *out = static_cast<uint32_t>(best);
  return IST_OK;
}

void Pool::trim() {
  for (Block &b : blocks)
    if (b.references == 0 && b.memory.bytes)
      memory->free(&b.memory);
}
