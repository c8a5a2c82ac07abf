//===- session.h - what one call at a time needs --------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_SESSION_H
#define ISTHMUS_RUNTIME_CORE_SESSION_H

#include "async.h"
#include "frame.h"
#include "program.h"
#include "recording.h"

struct ist_session {
  ~ist_session();
  ist_status create(ist_program *program, const ist_session_options &options,
                    ist_error *error);
  ist_status call(const char *function, const ist_tensor *inputs,
                  size_t inputCount, ist_tensor *outputs, size_t outputCount,
                  ist_error *error);
  ist_status prepare(const char *function, const ist_tensor *inputs,
                     size_t inputCount, size_t sets, ist_error *error);
  ist_status find(const char *function, uint32_t *index,
                  ist_error *error) const;
  /// `inputs` with what is bound in the place of those without data.
  ist_status withBound(uint32_t function, isthmus::Array<ist_tensor> &copies,
                       const ist_tensor **inputs, size_t inputCount,
                       ist_error *error);
  /// The last call's outputs end; those given again are allocated again.
  void releaseOutputs(ist_tensor *outputs, size_t outputCount);
  /// Gives a flight's commands, after `points`. It owns the session.
  ist_status fly(isthmus::Flight &flight, const ist_driver_point *points,
                 size_t count, ist_error *error);
  /// A flight's commands failed with `status` on the device.
  void nameInFlight(const isthmus::Flight &flight, ist_status status,
                    ist_error *error);
  /// How a flight went whose commands have ended. Any thread.
  ist_status observe(isthmus::Frame &frame, ist_error *error);
  /// Before anything else with the session: no flight is to be run, and what
  /// they held is free.
  ist_status own(ist_error *error);
  void recycle();
  ist_status callAsync(const char *function, const ist_tensor *inputs,
                       size_t inputCount, ist_tensor *outputs,
                       size_t outputCount, const ist_call_points &points,
                       ist_error *error);
  ist_status callOnQueue(uint32_t function, const ist_tensor *inputs,
                         size_t inputCount, ist_tensor *outputs,
                         size_t outputCount, ist_error *error);
  /// UNAVAILABLE while the caller captures his queue; `what` waits.
  ist_status refuseCapture(const char *what, ist_error *error);
  uint64_t deadlineFrom(uint64_t now) const;
  /// A call failed with `status`.
  void abandon(isthmus::Frame *frame, ist_status status);
  ist_status bind(const char *name, ist_tensor *tensor, ist_error *error);

  /// A function's recording for one set of sizes, and for which of the
  /// operands are indirect.
  struct Recorded {
    isthmus::Array<uint64_t> classes;
    isthmus::Recording *recording = nullptr;
    uint32_t sights = 0;
    bool ever = false; // it was recorded
    uint64_t lastUse = 0;
  };
  /// A function with one set of sizes.
  struct Shape {
    ~Shape();
    uint32_t function = 0;
    isthmus::Array<int64_t> symbols;
    isthmus::Plan plan;
    bool unfit = false; // cannot be recorded
    Recorded recorded[4];
    uint64_t lastUse = 0;
  };
  /// The function's shape with these symbols, planned.
  ist_status shape(uint32_t function, const int64_t *symbols, Shape **out,
                   ist_error *error);
  Recorded *recorded(Shape &shape, const isthmus::Array<uint64_t> &classes);
  void drop(Recorded &recorded);

  /// Makes queue and semaphore, if a failure took them.
  ist_status ready(ist_error *error);
  /// At least `bytes` of arena; the old one, and recordings of it, are gone.
  ist_status growArena(uint64_t bytes, ist_error *error);
  /// Waits until the device has done all it was given, or `deadline`.
  ist_status wait(uint64_t deadline, ist_error *error);
  /// Waits for calls that ended before their commands did.
  ist_status settle(uint64_t deadline, ist_error *error);
  /// After a failure: nothing is left under way.
  void recover();
  bool callersAllocator() const { return memory.allocator.allocate; }
  /// Memory that nobody uses goes back. Nothing is under way then.
  void trim();

  ist_status takeFrame(isthmus::Frame **out, ist_error *error);
  /// Lets go of what the frame holds and keeps it for another call.
  void giveFrame(isthmus::Frame *frame);

  ist_program *program = nullptr;
  ist_device *device = nullptr;
  ist_driver_queue *queue = nullptr;
  isthmus::Timeline *timeline = nullptr; // of the queue
  uint64_t submitted = 0, settled = 0;   // on it: given, and known to be over
  isthmus::Flights flights;
  bool flies = false; // it has had flights
  const char *nativeKind = nullptr;
  void *native = nullptr;
  bool noRecordings = false;

  isthmus::SessionMemory memory;
  ist_driver_memory arena = {};
  bool callersArena = false;
  /// The caller captured a call: what that uses stays until the session ends.
  bool captured = false;
  isthmus::Array<ist_driver_memory> capturedArenas;
  /// Commands on the caller's queue that nobody has waited for.
  bool loose = false;
  uint64_t given = 0;                   // commands, to the queue
  ist_driver_timestamp *stamps[2] = {}; // of profiles
  isthmus::Pool pool, staging;
  struct Block {
    isthmus::Pool *pool;
    uint32_t block;
  };
  /// What the last call's runtime-allocated outputs lie in.
  isthmus::Array<Block> outputBlocks;
  isthmus::Frame *frames = nullptr; // free ones
  isthmus::Frame *late = nullptr;   // of calls that ended, still under way
  uint32_t wordBytes = 0;

  isthmus::Array<Shape *> shapes;
  size_t mostShapes = 32;
  uint64_t clock = 0; // of lastUse

  struct Binding {
    char *name;
    ist_tensor tensor;
    ist_driver_memory owned;
  };
  isthmus::Array<Binding> bindings;

  /// Read by any thread.
  struct Counters {
    uint64_t calls, replays, recordings, reRecords, hostWaits, launches;
  };
  Counters counters = {};
  static void bump(uint64_t &counter, uint64_t by = 1) {
    __atomic_store_n(&counter, counter + by, __ATOMIC_RELAXED);
  }

  struct Profile {
    uint64_t count, nanoseconds;
    ist_work work; // of all of them
  };
  bool profiling = false;
  bool readsOnce = false; // what a launch read of the artifact is let go of
  isthmus::Array<Profile> profile; // launches of all functions, in order
  uint32_t profileBase(uint32_t function) const;

  uint64_t timeoutNs = 0;
  bool busy = false;      // atomic
  bool cancelled = false; // atomic
};

#endif // ISTHMUS_RUNTIME_CORE_SESSION_H
