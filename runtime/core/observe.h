//===- observe.h - how calls of a driver begin ----------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_OBSERVE_H
#define ISTHMUS_RUNTIME_CORE_OBSERVE_H

#include "device.h"

namespace isthmus {

/// What this thread's call of a driver began with; only where it is observed.
/// Small, so that it need not be allocated late, which the C library alone does
/// not do.
struct CurrentCall {
  uint64_t begin;
  const void *queue;
  const char *nodes; // of a launch
};
extern __attribute__((
    tls_model("initial-exec"))) thread_local CurrentCall currentCall;

} // namespace isthmus

// Begins each function of ist_device that calls the driver. `error` may be null
// where the caller wants no message; drivers always get a record.
#define IST_RECORD_ON(queue_, error)                                           \
  ist_error local;                                                             \
  if (!error)                                                                  \
    error = &local;                                                            \
  if (observed)                                                                \
  isthmus::currentCall = {isthmus::nowNs(), queue_, nullptr}
#define IST_RECORD(error) IST_RECORD_ON(nullptr, error)

#endif // ISTHMUS_RUNTIME_CORE_OBSERVE_H
