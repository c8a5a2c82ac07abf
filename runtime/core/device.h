//===- device.h - an open device ------------------------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_DEVICE_H
#define ISTHMUS_RUNTIME_CORE_DEVICE_H

#include "account.h"
#include "store.h"

namespace isthmus {
/// Memory of somebody else, made addressable. A type of its own, because to
/// free it gives nothing back.
struct Imported : ist_driver_memory {};
} // namespace isthmus

/// Counted. All calls to the driver go through here, where ISTHMUS_LOG=calls
/// shows them. Memory released twice, or never given, is ignored.
struct ist_device {
  static ist_status open(const char *name, const ist_device_options &options,
                         ist_device **out, ist_error *error);
  void retain() { __atomic_fetch_add(&references, 1, __ATOMIC_RELAXED); }
  void release();

  /// For the runtime's own small needs; whoever keeps more has an Account.
  ist_status alloc(ist_memory_kind kind, uint64_t bytes, ist_driver_memory *out,
                   ist_error *error) {
    return own.alloc(kind, bytes, out, error);
  }
  void free(ist_driver_memory *memory) { own.free(memory); }
  ist_status import(const void *host, uint64_t bytes, isthmus::Imported *out,
                    ist_error *error);
  void free(isthmus::Imported *memory) { driverFree(memory); }
  ist_status memInfo(uint64_t *available, uint64_t *total, ist_error *error);
  /// `kind` is null for a queue of our own.
  ist_status queueCreate(const char *kind, void *native, ist_driver_queue **out,
                         ist_error *error);
  void queueDestroy(ist_driver_queue *queue);
  ist_status copy(ist_driver_queue *queue, uint64_t to, uint64_t from,
                  uint64_t bytes, ist_error *error);
  ist_status fill(ist_driver_queue *queue, uint64_t to, uint8_t value,
                  uint64_t bytes, ist_error *error);
  /// `name` is the kernel's and `nodes` are the model's (may be null), for
  /// logs.
  ist_status launch(ist_driver_queue *queue, const ist_launch &launch,
                    const char *name, ist_error *error,
                    const char *nodes = nullptr);
  /// Then raises `semaphore` to `value`. The queue was given so many `commands`
  /// by now; 0: nobody counts.
  ist_status submit(ist_driver_queue *queue, ist_driver_semaphore *semaphore,
                    uint64_t value, ist_error *error, uint64_t commands = 0);
  /// What comes later begins after all of `points`.
  ist_status submitWaits(ist_driver_queue *queue,
                         const ist_driver_point *points, size_t count,
                         ist_error *error);
  ist_status semaphoreCreate(ist_driver_semaphore **out, ist_error *error);
  void semaphoreDestroy(ist_driver_semaphore *semaphore);
  ist_status semaphoreWait(ist_driver_semaphore *semaphore, uint64_t value,
                           uint64_t timeoutNs, ist_error *error);
  ist_status moduleLoad(const void *code, size_t size, const char *format,
                        ist_driver_module **out, ist_error *error);
  void moduleUnload(ist_driver_module *module);
  ist_status kernelGet(ist_driver_module *module, const ist_kernel_desc &desc,
                       const ist_driver_kernel **out, ist_error *error);

  // Only with `recording`.
  ist_status recordingBegin(ist_driver_queue *queue, ist_error *error);
  ist_status recordingEnd(ist_driver_queue *queue, ist_driver_recording **out,
                          ist_error *error);
  ist_status recordingReplay(ist_driver_queue *queue,
                             ist_driver_recording *recording,
                             const ist_patch *patches, size_t count,
                             ist_error *error);
  void recordingDestroy(ist_driver_recording *recording);

  // extensions.cpp
  void findExtensions();
  /// Whether the caller records what his queue is given.
  ist_status capturing(ist_driver_queue *queue, bool *out, ist_error *error);
  /// Copies from memory of another device. UNAVAILABLE: by the host only.
  ist_status copyFrom(ist_device &from, ist_driver_queue *queue, uint64_t to,
                      uint64_t address, uint64_t bytes, ist_error *error);
  // Only with `timestamps`.
  ist_status timestampCreate(ist_driver_timestamp **out, ist_error *error);
  void timestampDestroy(ist_driver_timestamp *timestamp);
  ist_status timestampRecord(ist_driver_queue *queue,
                             ist_driver_timestamp *timestamp, ist_error *error);
  ist_status elapsed(ist_driver_timestamp *begin, ist_driver_timestamp *end,
                     uint64_t *nanoseconds, ist_error *error);
  ist_status nativeDevice(ist_native *out, ist_error *error);
  ist_status nativeQueue(ist_driver_queue *queue, ist_native *out,
                         ist_error *error);

  const char *fact(const char *key) const;
  bool shares() const { return description.flags & IST_DEVICE_SHARES_MEMORY; }
  bool synchronous() const {
    return description.flags & IST_DEVICE_SYNCHRONOUS;
  }

  /// ISTHMUS_CHECK=1: commands are waited for, so that failures have names.
  bool checking = false;
  const ist_driver *driver = nullptr;
  ist_description description = {};
  // Null where the driver has none.
  const ist_recording_extension *recording = nullptr;
  const ist_capture_extension *capture = nullptr;
  const ist_native_extension *native = nullptr;
  const ist_pool_extension *pool = nullptr;
  const ist_peer_extension *peer = nullptr;
  const ist_timestamp_extension *timestamps = nullptr;
  char name[64] = "";
  isthmus::Ledger ledger;
  isthmus::Store store;

  /// For the caller: ist_device_alloc and ist_device_free.
  ist_status callerAlloc(ist_memory memory, uint64_t bytes, void **out,
                         ist_error *error);
  bool callerFree(void *memory);
  /// Whether host memory lies in an allocation of ist_device_alloc, and where
  /// that is on the device.
  bool hostAddress(const void *host, uint64_t bytes, uint64_t *address);

  /// Of ist_device_counters; without a visitor they begin again at 0.
  ist_status counters(void (*visit)(void *, const char *, const char *,
                                    uint64_t),
                      void *user, ist_error *error);

private:
  friend class isthmus::Account;
  ist_status driverOpen(uint32_t index, const ist_native *theirs,
                        ist_error *error);
  void driverClose();
  /// `queue` may be null; else memory comes and goes in its order, where there
  /// is that.
  ist_status driverAlloc(ist_memory_kind kind, uint64_t bytes,
                         ist_driver_queue *queue, ist_driver_memory *out,
                         ist_error *error);
  void driverFree(ist_driver_memory *memory, ist_driver_queue *queue = nullptr);
  __attribute__((format(printf, 3, 4))) ist_status logged(int status,
                                                          const char *format,
                                                          ...);

  ist_driver_device *device = nullptr;
  int references = 1;
  bool logCalls = false, traced = false;
  bool observed = false; // either
  ist_status waitFor(ist_driver_queue *queue, const char *what,
                     const char *name, ist_error *error);
  pthread_mutex_t checkLock = PTHREAD_MUTEX_INITIALIZER;
  ist_driver_semaphore *checkSemaphore = nullptr; // of checkLock
  uint64_t checkValue = 0;                        // likewise
  isthmus::Account own, callers;
  struct CallerMemory {
    ist_driver_memory memory;
    ist_memory kind;
    /// What the caller knows it by.
    void *given() const {
      return kind == IST_MEMORY_HOST ? memory.host
                                     : reinterpret_cast<void *>(memory.address);
    }
  };
  pthread_mutex_t callersLock = PTHREAD_MUTEX_INITIALIZER;
  isthmus::Array<CallerMemory> callerMemory; // of callersLock
};

namespace isthmus {

/// Is `list` (comma-separated) a subset of `of`? If not, `missing` gets the
/// first that is not there, cut to `size`.
bool isSubset(const char *list, const char *of, char *missing, size_t size);

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_DEVICE_H
