//===- stream.h - a driver over streams and events ------------------------===//
#ifndef ISTHMUS_DRIVERS_STREAM_STREAM_H
#define ISTHMUS_DRIVERS_STREAM_STREAM_H

#include "ops.h"

#include <pthread.h>

namespace isthmus::stream {

/// A place in a stream that others wait for. Counted, guarded by its device's
/// lock; without references it goes back to the pool.
struct Event {
  void *handle;
  uint64_t stream;      // serial number of the queue it was recorded in
  uint64_t first, last; // commands since the event before; 0: not told
  uint32_t references;
  bool done;
  ist_error *failure;    // of the work before it; owned
  Array<Event *> waited; // what its queue waited for since the event before
  Event *next;           // in the pool
};

struct Device {
  const Ops *ops;
  const ist_host *host;
  const char *driver; // "cuda"
  uint32_t index;
  void *vendor = nullptr;
  // What the vendor's library and the device have, of what its table has.
  bool recordings = false, pools = false, peers = false, timestamps = false,
       tiles = false;

  ist_description description = {};
  char summary[128] = "";
  ist_fact facts[16];
  char text[4096]; // the facts' values
  size_t textUsed = 0;

  pthread_mutex_t lock;
  pthread_cond_t changed; // a value, or the loss of the device
  Event *pool = nullptr;
  uint64_t serial = 0;
  uint32_t lost = 0; // atomic; then `loss` is written no more
  ist_error loss;

  /// Cut short when there is no room: a fact is a comma-separated list.
  __attribute__((format(printf, 3, 4))) void fact(const char *key,
                                                  const char *format, ...);

  /// `code` in words, after what was being done. Remembers a loss.
  __attribute__((format(printf, 4, 5))) ist_status
  failed(Code code, ist_error *error, const char *format, ...);
  /// OK, or the loss again.
  ist_status alive(ist_error *error);
};

struct Guard {
  explicit Guard(Device &d) : d(d) { ::pthread_mutex_lock(&d.lock); }
  ~Guard() { ::pthread_mutex_unlock(&d.lock); }
  Device &d;
};

/// Vendor calls happen within one. Functions that cannot fail go on when it is
/// not `ok`: what they end knows where it belongs.
struct Entered {
  explicit Entered(Device &d, bool commands = false)
      : d(d), commands(commands) {
    if (d.ops->enter)
      code = d.ops->enter(d, commands, &state);
  }
  ~Entered() {
    if (d.ops->leave && !code)
      d.ops->leave(d, commands, state);
  }
  ist_status ok(ist_error *error) {
    return code ? d.failed(code, error, "making the device current") : IST_OK;
  }
  Device &d;
  bool commands;
  Code code = 0;
  uint64_t state = 0;
};

struct Point {
  uint64_t value;
  Event *event;
};

struct Failure {
  uint64_t value;
  ist_error *error; // owned
};

struct Semaphore {
  Device *device;
  uint64_t value;
  Array<Point> points; // submitted and not seen reached, by value
  Array<Failure> failures;
};

struct Recording {
  Device *device;
  void *graph;
  Array<Command> commands;
  Array<uint8_t> changed; // one for each command
};

struct Queue {
  Device *device;
  void *stream;
  uint64_t commands = 0; // that its submits told of
  uint64_t serial;
  bool native;           // the caller's
  Event *last = nullptr; // of the last submit that signalled
  bool failed;           // a function failed: commands may still run
  ist_error *failure;    // of work waited for; goes to the next signals
  Array<Event *> waited;
  Recording *recording;        // between begin and end
  ist_error *recordingFailure; // of its first command that failed; owned
};

struct Module {
  Device *device;
  void *handle;
  Kernel *kernels;
};

#include "driver_functions.h"

// semaphore.cpp
/// Null without memory.
ist_error *copyOf(const ist_error &);
void release(Device &, Event *);
void dropPool(Device &);

/// An allocation failed: says what there is.
ist_status allocFailed(Device &, Code, uint64_t bytes, ist_error *);

// extensions.cpp
/// Checks a launch's tiles and makes their descriptors, into room for
/// kMaxTiles.
ist_status encodeTiles(Device &, const Command &, char *descriptors,
                       ist_error *);

// recording.cpp
extern const ist_recording_extension recordingExtension;
int record(Queue &, Command, ist_error *);
/// Remembers that a command of the recording failed, if there is one.
void spoilRecording(Queue &, const ist_error &);
void destroyRecording(Recording *);

// device.cpp
int open(const Ops &, const char *driver, const ist_host *, uint32_t index,
         const ist_native *, ist_driver_device **, ist_error *);

// The driver table's types are each driver's own, and this library has several
// drivers: theirs are only ever named by pointers.
inline Device *of(ist_driver_device *p) {
  return reinterpret_cast<Device *>(p);
}
inline Queue *of(ist_driver_queue *p) { return reinterpret_cast<Queue *>(p); }
inline Semaphore *of(ist_driver_semaphore *p) {
  return reinterpret_cast<Semaphore *>(p);
}
inline Module *of(ist_driver_module *p) {
  return reinterpret_cast<Module *>(p);
}
inline const Kernel *of(const ist_driver_kernel *p) {
  return reinterpret_cast<const Kernel *>(p);
}
struct Timestamp {
  Device *device;
  void *handle;
};
inline Timestamp *of(ist_driver_timestamp *p) {
  return reinterpret_cast<Timestamp *>(p);
}
inline Recording *of(ist_driver_recording *p) {
  return reinterpret_cast<Recording *>(p);
}

/// An input with members that this build does not know.
template <typename T>
ist_status known(const Device &d, const T &input, const char *what,
                 ist_error *error) {
  if (ist_tail_is_zero(&input, sizeof input))
    return IST_OK;
  return fail(error, IST_UNIMPLEMENTED,
              "the %s driver was given a %s with members that it does not "
              "know; update it",
              d.driver, what);
}

/// Whether the driver takes over `native` as what `kind` names.
ist_status checkNative(const Device &d, const ist_native &native,
                       const char *kind, ist_error *error);

/// The driver table over `Vendor`, which has `name`, `vendor`, `formats` and
/// `ops`.
template <typename Vendor> struct Table {
  static int enumerate(const ist_host *, ist_identity *identities,
                       uint32_t capacity, uint32_t *count, ist_error *error) {
    return Vendor::ops.enumerate(identities, capacity, count, error);
  }
  static int open(const ist_host *host, uint32_t index,
                  const ist_native *native, ist_driver_device **out,
                  ist_error *error) {
    return stream::open(Vendor::ops, Vendor::name, host, index, native, out,
                        error);
  }
  static constexpr ist_driver driver() {
    return IST_DRIVER_TABLE(Vendor::name, Vendor::vendor, Vendor::formats);
  }
};

} // namespace isthmus::stream

#endif // ISTHMUS_DRIVERS_STREAM_STREAM_H
