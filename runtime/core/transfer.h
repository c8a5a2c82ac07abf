//===- transfer.h - copies between host and device without a session ------===//
#ifndef ISTHMUS_RUNTIME_CORE_TRANSFER_H
#define ISTHMUS_RUNTIME_CORE_TRANSFER_H

#include "device.h"

namespace isthmus {

/// Copies, each waited for, over a queue of its own. On a device that does not
/// share memory, host memory goes through a staging buffer. One thread.
class Transfer {
public:
  ~Transfer();
  ist_status open(ist_device *device, ist_error *error);
  /// From another device, whose work on it has ended. UNAVAILABLE: by the host
  /// only.
  ist_status fromPeer(uint64_t to, ist_device &other, uint64_t from,
                      uint64_t bytes, ist_error *error);
  ist_status toDevice(uint64_t to, const void *from, uint64_t bytes,
                      ist_error *error);
  ist_status toHost(void *to, uint64_t from, uint64_t bytes, ist_error *error);
  ist_status onDevice(uint64_t to, uint64_t from, uint64_t bytes,
                      ist_error *error);

private:
  ist_status stage(uint64_t bytes, ist_error *error);
  ist_status finish(ist_error *error);

  ist_device *device = nullptr;
  ist_driver_queue *queue = nullptr;
  ist_driver_semaphore *done = nullptr;
  uint64_t submitted = 0;
  ist_driver_memory staging = {};
};

} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_TRANSFER_H
