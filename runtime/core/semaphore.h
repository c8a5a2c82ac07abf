//===- semaphore.h - points, and the flights before them ------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_SEMAPHORE_H
#define ISTHMUS_RUNTIME_CORE_SEMAPHORE_H

#include "async.h"

struct ist_semaphore {
  uint64_t value;    // reached
  uint64_t promised; // the largest that was signalled or given to a flight
  int references;    // flights, and the user
  struct Failed {
    uint64_t value;
    ist_status status;
    char *message; // may be null
  };
  isthmus::Array<Failed> failed;
  struct Pending {
    uint64_t value;
    isthmus::Flight *flight;
  };
  isthmus::Array<Pending> pending;
};

namespace isthmus::async {

// With the lock.

/// Drops a reference.
void release(ist_semaphore *semaphore);
/// How the point failed, or null.
const ist_semaphore::Failed *failure(const ist_point &point);

/// Calls `visit` with each flight that stands before the point: those that were
/// given it or less, and if none of them raises the semaphore so far the one
/// with the least beyond. `visit` says whether to go on. False: nobody was
/// given such a value.
template <typename Visit> bool eachBefore(const ist_point &p, Visit visit) {
  const ist_semaphore::Pending *beyond = nullptr;
  uint64_t reaches = p.semaphore->value;
  for (const ist_semaphore::Pending &x : p.semaphore->pending) {
    if (x.value <= p.value) {
      if (x.value > reaches)
        reaches = x.value;
      if (!visit(x.flight))
        return true;
    } else if (!beyond || x.value < beyond->value) {
      beyond = &x;
    }
  }
  if (reaches >= p.value)
    return true;
  if (beyond)
    visit(beyond->flight);
  return beyond;
}

/// An issued flight before the point, or null.
Flight *issuedBefore(const ist_point &point);

} // namespace isthmus::async

#endif // ISTHMUS_RUNTIME_CORE_SEMAPHORE_H
