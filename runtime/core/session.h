//===- session.h - what one call at a time needs
//---------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_SESSION_H
#define ISTHMUS_RUNTIME_CORE_SESSION_H

#include "pool.h"
#include "program.h"

struct ist_session {
  ~ist_session();
  ist_status create(ist_program *program, ist_error *error);
  ist_status call(const char *function, const ist_tensor *inputs,
                  size_t inputCount, ist_tensor *outputs, size_t outputCount,
                  ist_error *error);

  /// The plan for a function's last symbols.
  struct Cached {
    isthmus::Plan plan;
    isthmus::Array<int64_t> symbols;
    bool valid = false;
  };
  ist_status plan(uint32_t function, const int64_t *symbols,
                  const isthmus::Plan **out, ist_error *error);
  /// At least `bytes` of arena; the old one is gone.
  ist_status growArena(uint64_t bytes, ist_error *error);
  /// Waits until the device has done all it was given.
  ist_status wait(ist_error *error);

  ist_program *program = nullptr;
  ist_device *device = nullptr;
  ist_driver_queue *queue = nullptr;
  ist_driver_semaphore *done = nullptr;
  uint64_t submitted = 0;

  ist_driver_memory arena = {};
  isthmus::Pool pool;
  /// What the last call's runtime-allocated outputs lie in.
  isthmus::Array<uint32_t> outputBlocks;
  /// Host visible: 64 bytes for reads, then an error word for each launch.
  ist_driver_memory words = {};
  isthmus::Array<Cached *> plans; // by function

  struct Profile {
    uint64_t count, nanoseconds;
  };
  bool profiling = false;
  isthmus::Array<Profile> profile; // launches of all functions, in order
  uint32_t profileBase(uint32_t function) const;

  uint64_t timeoutNs = 0;
  bool busy = false;      // atomic
  bool cancelled = false; // atomic
};

#endif // ISTHMUS_RUNTIME_CORE_SESSION_H
