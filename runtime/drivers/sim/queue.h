//===- queue.h - commands of the simulated device -------------------------===//
#ifndef ISTHMUS_DRIVERS_SIM_QUEUE_H
#define ISTHMUS_DRIVERS_SIM_QUEUE_H

#include "device.h"

namespace isthmus::sim {

enum class Kind : uint8_t { copy, fill, launch, replay, submit };

/// One thing that a queue was given. A recording keeps commands as well.
struct Command {
  ~Command();
  Kind kind;
  uint8_t value = 0;                    // fill
  uint64_t to = 0, from = 0, bytes = 0; // copy, fill
  const ist_driver_kernel *kernel = nullptr;
  uint64_t grid = 0;
  uint32_t dynamicShared = 0;
  Array<uint64_t> args; // as given: device addresses
  Array<ist_range> ranges;
  Array<int32_t> rangeArgs;  // the argument a range begins at
  Array<Command *> commands; // replay
  ist_driver_recording *recording = nullptr;
  Array<ist_driver_point> waits, signals; // submit
  bool submitted = false;                 // a submit came behind it

  // With the device's lock:
  /// Checks what it touches against the memory there is, and holds that.
  ist_status resolve(ist_driver_device &device, ist_error *error);
  void unholdAll(ist_driver_device &device);
  /// Without the lock, after resolve().
  ist_status run(ist_error *error);

  /// With the same addresses and nothing held; null: no memory.
  Command *clone() const;
  ist_status patch(ist_driver_device &device, const ist_patch &patch,
                   ist_error *error);

  /// Where a device's address that the command holds lies on the host.
  uint8_t *translate(uint64_t address) const;

  Command *next = nullptr;

private:
  ist_status hold(ist_driver_device &device, uint64_t address, uint64_t bytes,
                  bool write, const char *what, Block **out, ist_error *error);
  ist_status holdLaunch(ist_driver_device &device, ist_error *error);

  Array<Block *> held;
  bool holdsModule = false;
};

const char *kindName(Kind kind);

/// What stands for a tensor without elements.
inline bool isNothing(uint64_t address) { return address < 4096; }

} // namespace isthmus::sim

struct ist_driver_queue {
  static void *main(void *queue);
  void work();
  /// With the lock. Takes the command over; into the recording, if there is
  /// one.
  ist_status give(isthmus::sim::Command *command, ist_error *error);
  void finish(isthmus::sim::Command *command);

  ist_driver_device *device;
  ist_driver_queue *next;
  pthread_t thread;
  uint32_t number;
  isthmus::sim::Command *first, *last;
  bool stopping;
  bool failed;       // a function failed on it
  ist_error failure; // of work since the last signals; code IST_OK: none

  bool recording; // between begin and end
  ist_error recordingFailure;
  isthmus::Array<isthmus::sim::Command *> recorded;
};

struct ist_driver_recording {
  ~ist_driver_recording();
  ist_driver_device *device;
  ist_driver_recording *next;
  isthmus::Array<isthmus::sim::Command *> commands;
  const ist_driver_queue *queue; // of the replays that are to run
  uint32_t pending;              // how many
  bool destroyed;                // too early
};

namespace isthmus::sim {
/// Drops, with the lock.
void unhold(ist_driver_recording *r);
extern const ist_recording_extension recordingExtension;
/// A function failed on `queue`: notes it.
int noted(ist_driver_queue *queue, ist_status status, const ist_error *error);
} // namespace isthmus::sim

#endif // ISTHMUS_DRIVERS_SIM_QUEUE_H
