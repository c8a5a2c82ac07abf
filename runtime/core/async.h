//===- async.h - calls that nobody waits for ------------------------------===//
//
// A call given with points is a *flight*. It is parked while a value that it
// waits for has been given to nobody, or while an earlier flight of its session
// is parked. On devices whose commands run when they are given, and for
// functions that read device values, the engine's thread then runs it from end
// to end. Elsewhere its commands are given to the device, by whichever thread
// has it, and the driver waits for what other flights on the device signal; it
// is finished by the first that looks: a waiter, a query, the engine.
//
// One lock is over all of it. Who runs a flight owns its session, so that
// sessions need none.
//
//===----------------------------------------------------------------------===//
#ifndef ISTHMUS_RUNTIME_CORE_ASYNC_H
#define ISTHMUS_RUNTIME_CORE_ASYNC_H

#include "device.h"
#include "frame.h"

namespace isthmus {

/// A queue's semaphore, kept by whoever makes the device wait for it.
struct Timeline {
  ist_device *device;
  ist_driver_semaphore *semaphore;
  int references; // atomic
};
void release(Timeline *timeline);

struct Flight {
  enum class State : uint8_t { Parked, Running, Issued, Done };
  State state = State::Parked;
  bool cancelled = false;
  bool stuck = false;      // for abandon()
  bool pure = false;       // nothing is left for the host when its point comes
  bool hostInputs = false; // read when its commands are given
  bool blocking = false;   // run from end to end
  uint32_t function = 0;
  ist_session *session = nullptr;
  Array<ist_tensor> inputs;
  ist_tensor *outputs = nullptr; // the caller's
  Array<ist_tensor> results;     // the same while it runs
  Array<ist_point> waits, signals;
  uint64_t deadline = UINT64_MAX, timeoutNs = 0;

  // Issued.
  Frame *frame = nullptr;
  Timeline *timeline = nullptr; // reaches `value`
  uint64_t value = 0;
  Array<Timeline *> kept; // that its commands wait for
  uint32_t helpers = 0;   // threads that wait for it outside the lock

  Flight *previous = nullptr, *next = nullptr; // of all that are not done
  Flight *nextOfSession = nullptr;
};

/// Of a session, with the lock.
struct Flights {
  Flight *first = nullptr, *last = nullptr; // in order; done ones as well
  uint32_t waiting = 0;                     // parked or running
  uint32_t issued = 0;
};

/// Of one session that may be under way at once.
constexpr uint32_t kMostFlights = 4096;

namespace async {

class Lock {
public:
  Lock();
  ~Lock();
};

/// The session will have flights.
void addUser();
/// The last one ends the thread. Without the lock.
void removeUser();
/// Takes the flight over, unless it fails: then nothing is signalled. The
/// caller owns the session, unless a flight of it is parked or running.
ist_status start(Flight *flight, ist_error *error);
/// Waits until the session's flights are run (`issued`: have ended), or
/// `deadline`. False: it passed.
bool drain(Flights &flights, bool issued, uint64_t deadline);
/// Every parked flight of the session ends.
void cancel(Flights &flights);
/// Those end that cannot begin with what is known now: they, or what they come
/// after, wait for a value that nobody was given.
void abandon(Flights &flights);
/// What the session gave its device will not say how it ended.
void failIssued(Flights &flights, ist_status status, const char *message);
/// The session's flights that are done, to be deleted.
Flight *takeDone(Flights &flights);

// For what else waits, with the lock.

/// How long a thread that helps looks at one flight before it looks around.
constexpr uint64_t kSliceNs = 1000 * 1000;
/// Wakes all that sleep.
void signalAll();
/// Until something changed, or `deadline`.
void sleep(uint64_t deadline);
/// Looks at an issued flight for so long; true when it is done. Leaves the lock
/// meanwhile.
bool look(Flight *flight, uint64_t timeoutNs);

} // namespace async
} // namespace isthmus

#endif // ISTHMUS_RUNTIME_CORE_ASYNC_H
