//===- device.h - a simulated device and what is made on it ---------------===//
//
// One lock per device guards everything here. It is held except while a command
// runs, which what the command holds (blocks, its kernel's module) outlives.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_DRIVERS_SIM_DEVICE_H
#define ISTHMUS_DRIVERS_SIM_DEVICE_H

#include "options.h"

#include <pthread.h>

namespace isthmus::sim {

constexpr uint64_t kFirstAddress = 0x5100000000000000;

/// An allocation or an import: a range of device addresses over host memory.
/// Where they are not the host's they are never used again, so one that is in
/// no block was freed, or never given.
struct Block {
  uint64_t address, bytes;
  uint8_t *host;    // what the address stands for
  void *mapping;    // of allocations
  uint64_t mapped;  // its bytes
  Block *base;      // what an import of a device address lies in
  uint32_t pending; // commands and imports of addresses that hold it
  bool readOnly;    // an import that the device will not write
  bool freed;       // too early: goes when nothing holds it
};

struct Command;
struct Facts; // each plug-in has its own

} // namespace isthmus::sim

struct ist_driver_device {
  /// `number` is the device's in this plug-in, `name` for messages.
  ist_status init(const ist_host *host, uint32_t number, const char *name,
                  ist_error *error);
  ~ist_driver_device();

  /// What every function does first. `function` is its name in the table.
  ist_status enter(const char *function, ist_error *error);
  /// With the lock. A lost device touches no memory: what runs ends first.
  void lose();
  /// With the lock. The error of everything after a loss.
  ist_status lostError(ist_error *error) const;
  /// With or without the lock: the core broke the contract.
  __attribute__((format(printf, 3, 4))) ist_status
  breach(ist_error *error, const char *format, ...);
  __attribute__((format(printf, 3, 4))) void log(ist_log_level level,
                                                 const char *format, ...);

  // --- memory.cpp; with the lock ---
  ist_status alloc(uint64_t bytes, isthmus::sim::Block **out, ist_error *error);
  ist_status importHost(const ist_import &import, isthmus::sim::Block **out,
                        ist_error *error);
  ist_status importAddress(const ist_import &import, isthmus::sim::Block **out,
                           ist_error *error);
  /// Checks that nothing holds it.
  void free(isthmus::sim::Block *block);
  void unhold(isthmus::sim::Block *block);
  /// The block that all of [address, address + bytes) lies in, or null.
  isthmus::sim::Block *find(uint64_t address, uint64_t bytes) const;

  const ist_host *host = nullptr;
  uint32_t number = 0;
  char name[32];
  isthmus::sim::Options options;
  isthmus::sim::Facts *facts = nullptr; // the plug-in's; of backend::open
  ist_description description = {};     // filled by it too

  mutable pthread_mutex_t lock;
  pthread_cond_t changed; // a semaphore, a queue, or the device's loss
  bool losing = false, lost = false;
  uint32_t running = 0; // commands

  isthmus::Array<isthmus::sim::Block *> blocks; // by address
  uint64_t nextAddress = 0, used = 0;

  // What is left at close is a leak.
  ist_driver_queue *queues = nullptr;
  ist_driver_semaphore *semaphores = nullptr;
  ist_driver_module *modules = nullptr;
  ist_driver_recording *recordings = nullptr;

private:
  void release(isthmus::sim::Block *block);
  ist_status insert(isthmus::sim::Block block, isthmus::sim::Block **out,
                    ist_error *error);
};

namespace isthmus::sim {

class Lock {
public:
  explicit Lock(const ist_driver_device &d) : mutex(&d.lock) {
    ::pthread_mutex_lock(mutex);
  }
  ~Lock() { ::pthread_mutex_unlock(mutex); }
  Lock(const Lock &) = delete;

private:
  pthread_mutex_t *mutex;
};

/// Objects of one kind on a device, linked through `next`.
template <typename T> void link(T *&list, T *item) {
  item->next = list;
  list = item;
  count(counters.objects);
}
template <typename T> void unlink(T *&list, T *item) {
  T **at = &list;
  while (*at != item)
    at = &(*at)->next;
  *at = item->next;
  count(counters.objects, -1);
}

} // namespace isthmus::sim

// --- semaphore.cpp ---

struct ist_driver_semaphore {
  /// With the lock. To `value`, with `failure` (its code IST_OK: none).
  void raise(uint64_t value, const ist_error &failure);
  /// With the lock. What `value` failed with, or null.
  const ist_error *failureOf(uint64_t value) const;

  ist_driver_device *device;
  ist_driver_semaphore *next;
  uint64_t value, given; // reached; the largest that was promised
  uint32_t waiters;      // host threads
  uint32_t held;         // by commands that are still to run
  bool destroyed;        // too early: goes when nothing holds it
  struct Failure {
    uint64_t after, upTo; // of the values in (after, upTo]
    ist_error error;
  };
  isthmus::Array<Failure> failures;
};

namespace isthmus::sim {
#include "driver_functions.h"

/// With the lock.
void hold(ist_driver_semaphore *s);
void unhold(ist_driver_semaphore *s);
} // namespace isthmus::sim

// --- module.cpp ---

struct ist_driver_kernel {
  const void *entry; // of backend::find
  ist_driver_module *module;
  ist_driver_kernel *next;
  char *name;
  isthmus::Array<ist_arg> args;
  uint32_t argsBytes, block, dynamicShared;
};

struct ist_driver_module {
  ist_driver_device *device;
  ist_driver_module *next;
  void *code; // of backend::load
  ist_driver_kernel *kernels;
  uint32_t held; // by commands
  bool unloaded; // too early: goes when nothing holds it
};

namespace isthmus::sim {
void unhold(ist_driver_module *m);
/// Inputs that say what this driver does not know.
ist_status unknown(const char *what, ist_error *error);
} // namespace isthmus::sim

#endif // ISTHMUS_DRIVERS_SIM_DEVICE_H
