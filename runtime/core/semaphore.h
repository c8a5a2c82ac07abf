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
  /// The last kMostFailed failures, so that a server's memory is bounded; once
  /// full, `oldest` is where the next one goes. What made room lies between
  /// the values forgotten[0] and [1].
  isthmus::Array<Failed> failed;
  size_t oldest = 0;
  uint64_t forgotten[2] = {UINT64_MAX, 0};
  struct Pending {
    uint64_t value;
    isthmus::Flight *flight;
  };
  isthmus::Array<Pending> pending;
};

namespace isthmus::async {

/// As many as a session has calls under way.
constexpr size_t kMostFailed = kMostFlights;

// With the lock.

/// Drops a reference.
void release(ist_semaphore *semaphore);
/// Takes over `message`. Does not fail where there is room for one more.
void addFailure(ist_semaphore &semaphore, uint64_t value, ist_status status,
                char *message);
/// How the point failed, or null. UNAVAILABLE when nobody knows any more.
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
