//===- thread_pool.h - the cpu driver's threads ---------------------------===//
#ifndef ISTHMUS_DRIVERS_CPU_THREAD_POOL_H
#define ISTHMUS_DRIVERS_CPU_THREAD_POOL_H

#include "isthmus/runtime.h"

#include <pthread.h>
#include <stdint.h>

namespace isthmus::cpu {

using Entry = void (*)(const uint64_t *args, uint64_t begin, uint64_t end);

/// Worker threads that help the thread which calls run(). They take one launch
/// at a time; a second caller meanwhile runs its launch alone.
class ThreadPool {
public:
  /// `extra` threads besides callers; fewer when the system gives no more.
  ist_status start(unsigned extra, ist_error *error);
  void stop();
  /// What the calling thread did of a launch, without waiting for others.
  struct Share {
    uint64_t groups, ns;
  };
  /// Calls `entry` on ranges that make up [0, grid), from several threads, and
  /// returns when all have returned. False: busy, nothing was run.
  bool run(Entry entry, const uint64_t *args, uint64_t grid,
           Share *mine = nullptr);
  unsigned workers() const { return count; }

private:
  static void *main(void *self);
  void work();
  /// Gives how many workgroups it ran.
  uint64_t takeChunks();

  pthread_t *threads = nullptr;
  unsigned count = 0;
  unsigned nameCounter = 0; // atomic
  bool stopping = false;    // atomic
  bool owned = false;       // atomic: by the caller whose launch runs

  // The launch. Written by the owner only while `state` is closed and nobody
  // is in it.
  Entry entry = nullptr;
  const uint64_t *args = nullptr;
  uint64_t grid = 0, chunks = 0;
  alignas(64) uint64_t nextChunk = 0; // atomic

  // Bits 32..63: number of the launch; bit 31: open to workers; 0..30: workers
  // in it. A worker enters and leaves by changing it; so a worker that comes
  // late or not at all holds nobody up.
  alignas(64) uint64_t state = 0; // atomic
  uint32_t wake = 0;              // futex: changes with every launch
  uint32_t sleepers = 0;          // atomic
  uint32_t left = 0;              // futex: changes when the last worker leaves
};

/// How many threads launches may run on, the caller's included: what
/// ISTHMUS_THREADS says, else what affinity and control groups allow. At
/// least 1.
ist_status threadLimit(unsigned *out, ist_error *error);

} // namespace isthmus::cpu

#endif // ISTHMUS_DRIVERS_CPU_THREAD_POOL_H
